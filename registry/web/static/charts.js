// Charts: series by uPlot, scatter and parallel coordinates as SVG. A chart is drawn when it scrolls into view, asks for
// no more points than it has pixels, and asks for finer ones when it is zoomed.
"use strict";
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const color = (index, count) => {
    const hue = count <= 8 ? [212, 24, 145, 280, 350, 48, 180, 320][index] : (index * 137.5) % 360;
    return `hsl(${hue} 65% ${isDark() ? 65 : 42}%)`;
  };
  const shown = (value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    return size !== 0 && (size >= 1e7 || size < 1e-4) ? value.toExponential(3) : String(Number(value.toPrecision(5)));
  };
  const span = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 120) return `${Number(seconds.toPrecision(3))} s`;
    if (size < 7200) return `${Number((seconds / 60).toPrecision(3))} min`;
    return size < 172800 ? `${Number((seconds / 3600).toPrecision(3))} h` : `${Number((seconds / 86400).toPrecision(3))} d`;
  };
  const getJson = async (address, signal) => {
    const answer = await fetch(address, { signal, headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status === 503 ? "the database is away" : `the server answered ${answer.status}`);
    return answer.json();
  };

  const pause = (time, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); });
  });

  // ---- series ----
  const place = document.querySelector("[data-charts]");
  const state = place && {
    runs: JSON.parse(place.dataset.runs),
    axis: place.dataset.axis,
    scale: place.dataset.scale,
    smoothing: Number(place.dataset.smoothing),
    low: place.dataset.low,
    high: place.dataset.high,
  };
  const runs = new Map(state ? state.runs.map(([id, name, start], index) => [id, { name: name || id, start, index }]) : []);
  const charts = [];

  // Exponential smoothing, with the correction that lets it begin at the first value.
  const smooth = (values, weight) => {
    let last = 0, mass = 0;
    return values.map((value) => {
      if (value === null) return null;
      last = last * weight + value * (1 - weight);
      mass = mass * weight + (1 - weight);
      return last / mass;
    });
  };

  class SeriesChart {
    constructor(element) {
      this.element = element;
      this.key = element.dataset.series;
      this.note = element.closest("figure").querySelector("[data-state]");
      this.series = null;
      this.plot = null;
      this.isVisible = false;
      this.cost = 0;
    }

    get width() { return Math.max(200, Math.floor(this.element.clientWidth)); }

    async load() {
      this.abort?.abort();
      this.abort = new AbortController();
      const signal = this.abort.signal;
      const ask = async (exact) => {
        const query = new URLSearchParams(state.runs.map(([id]) => ["run", id]));
        query.append("key", this.key);
        query.append("points", String(Math.min(this.width, 4000)));
        if (state.low) query.append("low", state.low);
        if (state.high) query.append("high", state.high);
        if (exact) query.append("exact", "1");
        if (state.axis !== "step") query.append("times", "1");
        const started = performance.now();
        const answer = await getJson(`/series.json?${query}`, signal);
        this.cost = performance.now() - started;
        return answer.series;
      };
      try {
        let series = await ask(false);
        this.show(series);
        if (series.some((one) => one.sketch)) {
          this.say("refining …");
          await pause(1000, signal); // a long series takes seconds of the server; whoever only passes by costs none
          series = await ask(true);
          this.show(series);
        }
        this.say(series.some((one) => one.values.length) ? "" : "no points here");
        this.element.dataset.ready = "";
      } catch (error) {
        if (error.name !== "AbortError") this.say(`not drawn: ${error.message}`);
      }
    }

    say(text) { if (this.note) this.note.textContent = text; }

    show(series) {
      this.series = series;
      this.element.dataset.points = String(series.reduce((sum, one) => sum + one.steps.length, 0));
      if (this.isVisible) this.draw();
    }

    lines() {
      const isLog = state.scale === "log";
      return this.series.map((one) => {
        const run = runs.get(one.run);
        const xs = state.axis === "step" ? one.steps
          : one.times.map((time) => (state.axis === "wall" ? time : time - run.start) / 1000);
        const raw = isLog ? one.values.map((value) => (value > 0 ? value : null)) : one.values;
        const order = state.axis === "step" ? null : [...xs.keys()].sort((a, b) => xs[a] - xs[b]);
        const sorted = order ? order.map((index) => xs[index]) : xs;
        const values = order ? order.map((index) => raw[index]) : raw;
        return {
          run, name: run.name, xs: sorted, raw: values, steps: order ? order.map((index) => one.steps[index]) : one.steps,
          values: state.smoothing ? smooth(values, state.smoothing / 100) : values,
          color: color(run.index, runs.size),
        };
      });
    }

    draw() {
      if (!this.series) return;
      const lines = this.lines();
      let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
      for (const line of lines) {
        for (let index = 0; index < line.xs.length; index++) {
          const value = line.raw[index];
          if (value === null) continue;
          if (line.xs[index] < left) left = line.xs[index];
          if (line.xs[index] > right) right = line.xs[index];
          if (value < low) low = value;
          if (value > high) high = value;
        }
      }
      if (left > right) { [left, right, low, high] = [0, 1, state.scale === "log" ? 0.1 : 0, 1]; }
      if (left === right) { left -= 0.5; right += 0.5; }
      const range = state.scale === "log"
        ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high) + (low === high ? 1e-9 : 0))]
        : uPlot.rangeNum(low, high, 0.1, true);
      if (range[0] === range[1]) range[1] = range[0] === 0 ? 1 : range[0] * 10;
      const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
      const across = state.axis === "relative" ? { ...axis, size: 34, values: (_, splits) => splits.map(span) } : { ...axis, size: state.axis === "wall" ? 50 : 34 };
      if (state.axis === "step") across.incrs = [1, 2, 5, 10, 20, 50, 100, 200, 500].concat(
        Array.from({ length: 48 }, (_, power) => [1, 2, 5][power % 3] * 10 ** (3 + Math.floor(power / 3))));
      const options = {
        width: this.width,
        height: this.element.clientHeight || 220,
        legend: { show: false },
        cursor: { points: { show: false }, drag: { x: true, y: false, setScale: false } },
        scales: { x: { time: state.axis === "wall", range: () => [left, right] },
          y: { distr: state.scale === "log" ? 3 : 1, range: () => range } },
        // uPlot draws the axes and tells the positions; the series have steps of their own, so their lines are drawn here.
        series: [{}, { points: { show: false }, stroke: "transparent" }],
        axes: [across, { ...axis, size: 64, values: (_, splits) => splits.map((value) => (value === null ? "" : shown(value))) }],
        hooks: {
          draw: [(plot) => this.drawLines(plot)],
          setCursor: [(plot) => this.hover(plot)],
          setSelect: [(plot) => this.select(plot)],
        },
      };
      this.drawn = lines;
      this.destroy();
      this.plot = new uPlot(options, [[left, right], [null, null]], this.element);
      this.plot.over.addEventListener("dblclick", unzoom);
      this.tip = document.createElement("div");
      this.tip.className = "tip";
      this.tip.hidden = true;
      this.plot.over.append(this.tip);
    }

    drawLines(plot) {
      const { ctx, bbox } = plot;
      const trace = (xs, values) => {
        ctx.beginPath();
        let isDown = false;
        let dots = [];
        for (let index = 0; index < xs.length; index++) {
          if (values[index] === null) { isDown = false; continue; }
          const x = plot.valToPos(xs[index], "x", true), y = plot.valToPos(values[index], "y", true);
          if (isDown) ctx.lineTo(x, y);
          else {
            ctx.moveTo(x, y);
            const next = values[index + 1];
            if (next === null || next === undefined) dots.push([x, y]);
          }
          isDown = true;
        }
        ctx.stroke();
        for (const [x, y] of dots) { ctx.beginPath(); ctx.arc(x, y, 3 * devicePixelRatio, 0, 7); ctx.fill(); }
      };
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.lineJoin = "round";
      for (const line of this.drawn) {
        ctx.strokeStyle = ctx.fillStyle = line.color;
        ctx.lineWidth = (runs.size > 20 ? 1 : 1.6) * devicePixelRatio;
        if (state.smoothing) {
          ctx.globalAlpha = 0.22;
          trace(line.xs, line.raw);
        }
        ctx.globalAlpha = runs.size > 20 ? 0.75 : 1;
        trace(line.xs, line.values);
      }
      ctx.restore();
    }

    hover(plot) {
      const { left, top } = plot.cursor;
      if (left < 0 || !this.drawn) { if (this.tip) this.tip.hidden = true; return; }
      const x = plot.posToVal(left, "x");
      let best = null;
      for (const line of this.drawn) {
        let low = 0, high = line.xs.length - 1;
        while (high - low > 1) {
          const middle = (low + high) >> 1;
          if (line.xs[middle] < x) low = middle; else high = middle;
        }
        for (const index of [low, high]) {
          if (line.values[index] === null || line.values[index] === undefined) continue;
          const distance = Math.hypot(plot.valToPos(line.xs[index], "x") - left, plot.valToPos(line.values[index], "y") - top);
          if (!best || distance < best.distance) best = { line, index, distance };
        }
      }
      if (!this.tip) return;
      this.tip.hidden = !best || best.distance > 60;
      if (this.tip.hidden) return;
      const { line, index } = best;
      const own = state.smoothing ? ` (${shown(line.raw[index])})` : "";
      this.tip.textContent = `${runs.size > 1 ? `${line.name}: ` : ""}${shown(line.values[index])}${own} at step ${line.steps[index]}`;
      this.tip.style.left = `${Math.min(left + 12, Math.max(0, plot.over.clientWidth - 180))}px`;
      this.tip.style.top = `${Math.max(0, top - 30)}px`;
    }

    select(plot) {
      const { left, width } = plot.select;
      if (width < 5) return;
      const from = plot.posToVal(left, "x"), to = plot.posToVal(left + width, "x");
      plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      if (state.axis === "step") { zoom(Math.floor(from), Math.ceil(to)); return; }
      // The server knows ranges of steps; take those of the points in this stretch of time.
      let low = Infinity, high = -Infinity;
      for (const line of this.drawn) {
        line.xs.forEach((x, index) => {
          if (x < from || x > to) return;
          low = Math.min(low, line.steps[index]);
          high = Math.max(high, line.steps[index]);
        });
      }
      if (low < high) zoom(low, high);
    }

    destroy() {
      this.plot?.destroy();
      this.plot = null;
      this.tip = null;
    }
  }

  const remember = () => {
    const url = new URL(location.href);
    const put = (name, value, usual) => (value === usual ? url.searchParams.delete(name) : url.searchParams.set(name, value));
    put("x", state.axis, "step");
    put("scale", state.scale, "linear");
    put("smooth", String(state.smoothing), "0");
    put("low", state.low, "");
    put("high", state.high, "");
    history.replaceState(null, "", url);
    for (const button of document.querySelectorAll("[data-unzoom]")) button.hidden = !state.low && !state.high;
  };
  const reload = () => {
    for (const chart of charts) {
      chart.series = null;
      if (chart.isVisible) chart.load();
    }
  };
  const zoom = (low, high) => {
    if (!(low < high) || !Number.isSafeInteger(low) || !Number.isSafeInteger(high)) return;
    state.low = String(low);
    state.high = String(high);
    remember();
    reload();
  };
  const unzoom = () => {
    if (!state.low && !state.high) return;
    state.low = state.high = "";
    remember();
    reload();
  };

  if (place) {
    const paint = () => {
      for (const swatch of document.querySelectorAll("[data-swatch]")) {
        const run = runs.get(swatch.dataset.swatch);
        if (run) swatch.style.backgroundColor = color(run.index, runs.size);
      }
    };
    paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const chart = charts.find((one) => one.element === entry.target);
        chart.isVisible = entry.isIntersecting;
        if (!chart.isVisible) { chart.destroy(); chart.abort?.abort(); }
        else if (chart.series) chart.draw();
        else chart.load();
      }
    }, { rootMargin: "300px" });
    for (const element of place.querySelectorAll("[data-series]")) {
      charts.push(new SeriesChart(element));
      observer.observe(element);
    }
    for (const form of document.querySelectorAll("[data-chart-options]")) {
      form.addEventListener("input", (event) => {
        const option = event.target.dataset.option;
        if (!option) return;
        state[option] = option === "smoothing" ? Number(event.target.value) : event.target.value;
        remember();
        for (const chart of charts) {
          if (state.axis !== "step" && chart.series?.some((one) => !one.times)) chart.series = null;
          if (!chart.isVisible) continue;
          if (chart.series) chart.draw();
          else chart.load();
        }
      });
      form.querySelector("[data-unzoom]")?.addEventListener("click", unzoom);
    }
    let width = window.innerWidth;
    let timer = 0;
    window.addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (window.innerWidth === width) return;
        width = window.innerWidth;
        for (const chart of charts) if (chart.isVisible) chart.draw();
      }, 150);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      for (const chart of charts) if (chart.isVisible) chart.draw();
    });
    remember();
    if ("liveCharts" in place.dataset) {
      const beat = async () => {
        if (!document.hidden) {
          for (const chart of charts) if (chart.isVisible && chart.series && !state.low) await chart.load();
        }
        // A server that needs long is asked less often.
        if (!("liveStatus" in place.dataset && place.dataset.liveStatus === "ended")) {
          setTimeout(beat, Math.max(2000, 5 * Math.max(0, ...charts.map((chart) => chart.cost))));
        }
      };
      setTimeout(beat, 2000);
    }
  }

  // ---- scatter and parallel coordinates ----
  const NS = "http://www.w3.org/2000/svg";
  const svg = (name, attributes, ...children) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const link = (id, ...children) => {
    const anchor = svg("a", { href: `/runs/${encodeURIComponent(id)}`, tabindex: "-1" }, ...children);
    return anchor;
  };
  // Numbers where all values are numbers, else the values by name.
  const scaleOf = (name, values, from, to) => {
    const there = values.filter((value) => value !== null && value !== "");
    const isTime = name === "start_time";
    if (there.every((value) => typeof value === "number" || (value.trim() !== "" && Number.isFinite(Number(value))))) {
      const numbers = there.map(Number);
      let low = Infinity, high = -Infinity;
      for (const value of numbers) { low = Math.min(low, value); high = Math.max(high, value); }
      if (!numbers.length) [low, high] = [0, 1];
      if (low === high) { low -= 0.5; high += 0.5; }
      const step = 10 ** Math.floor(Math.log10((high - low) / 4));
      const width = [1, 2, 5, 10].map((factor) => factor * step).find((each) => (high - low) / each <= 6) || step * 10;
      const ticks = [];
      if (isTime) for (let index = 0; index <= 3; index++) ticks.push(low + (high - low) * index / 3);
      else for (let value = Math.ceil(low / width) * width; value <= high + width * 1e-9; value += width) ticks.push(value);
      const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
      return {
        at: (value) => (value === null || value === "" ? null : from + (to - from) * (Number(value) - low) / (high - low)),
        ticks: ticks.map((value) => [value, isTime ? day.format(value) : shown(value)]),
        share: (value) => (Number(value) - low) / (high - low),
      };
    }
    const names = [...new Set(there.map(String))].sort().slice(0, 50);
    const position = (value) => (names.length === 1 ? 0.5 : names.indexOf(String(value)) / (names.length - 1));
    const every = Math.ceil(names.length / 12);
    return {
      at: (value) => (value === null || names.indexOf(String(value)) < 0 ? null : from + (to - from) * position(value)),
      ticks: names.filter((_, index) => index % every === 0).map((value) => [value, value.length > 16 ? `${value.slice(0, 15)}…` : value]),
      share: position,
    };
  };
  const short = (name, length = 28) => {
    const key = name === "start_time" ? "started" : name.slice(name.indexOf(".") + 1);
    return key.length > length ? `${key.slice(0, length - 1)}…` : key;
  };
  const warm = (share) => `hsl(${212 - 180 * Math.min(1, Math.max(0, share))} 65% ${isDark() ? 62 : 42}%)`;

  const drawScatter = (element, data, [across, up]) => {
    const width = Math.max(260, element.clientWidth), height = element.clientHeight || 340;
    const xs = scaleOf(across, data.axes[across], 70, width - 20), ys = scaleOf(up, data.axes[up], height - 46, 14);
    const frame = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "drawn" });
    for (const [value, label] of xs.ticks) {
      const x = xs.at(value);
      frame.append(svg("line", { x1: x, x2: x, y1: 14, y2: height - 46, class: "grid" }), svg("text", { x, y: height - 30, "text-anchor": "middle" }, label));
    }
    for (const [value, label] of ys.ticks) {
      const y = ys.at(value);
      frame.append(svg("line", { x1: 70, x2: width - 20, y1: y, y2: y, class: "grid" }), svg("text", { x: 64, y: y + 4, "text-anchor": "end" }, label));
    }
    frame.append(svg("text", { x: width / 2, y: height - 8, "text-anchor": "middle", class: "title" }, short(across, 60)));
    frame.append(svg("text", { x: 8, y: 10, class: "title" }, short(up, 60)));
    let count = 0;
    data.ids.forEach((id, index) => {
      const x = xs.at(data.axes[across][index]), y = ys.at(data.axes[up][index]);
      if (x === null || y === null) return;
      count += 1;
      const label = `${data.names[index]}: ${short(across)} ${shown(data.axes[across][index])}, ${short(up)} ${shown(data.axes[up][index])}`;
      frame.append(link(id, svg("circle", { cx: x, cy: y, r: data.ids.length > 300 ? 3 : 5, class: "dot" }, svg("title", {}, label))));
    });
    element.replaceChildren(frame);
    return count;
  };

  const drawParallel = (element, data, axes) => {
    const width = Math.max(260, element.clientWidth, axes.length * 90), height = element.clientHeight || 340;
    const place = (index) => 50 + (axes.length === 1 ? 0 : index * (width - 110) / (axes.length - 1));
    const scales = axes.map((name) => scaleOf(name, data.axes[name], height - 24, 46));
    const frame = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "drawn" });
    const last = axes[axes.length - 1], tint = scales[axes.length - 1];
    let count = 0;
    data.ids.slice(0, 500).forEach((id, index) => {
      let path = "", isDown = false;
      axes.forEach((name, column) => {
        const y = scales[column].at(data.axes[name][index]);
        if (y === null) { isDown = false; return; }
        path += `${isDown ? "L" : "M"}${place(column).toFixed(1)} ${y.toFixed(1)}`;
        isDown = true;
      });
      if (!path.includes("L")) return;
      count += 1;
      const value = data.axes[last][index];
      const label = `${data.names[index]}\n${axes.map((name) => `${short(name)}: ${shown(data.axes[name][index])}`).join("\n")}`;
      frame.append(link(id, svg("path", { d: path, class: "run-line", stroke: value === null ? css("--soft") : warm(tint.share(value)) }, svg("title", {}, label))));
    });
    axes.forEach((name, column) => {
      const x = place(column);
      frame.append(svg("line", { x1: x, x2: x, y1: 46, y2: height - 24, class: "axis" }));
      frame.append(svg("text", { x, y: column % 2 ? 32 : 14, "text-anchor": "middle", class: "title" }, short(name, 18), svg("title", {}, name)));
      for (const [value, text] of scales[column].ticks) frame.append(svg("text", { x: x + 5, y: scales[column].at(value) + 4, class: "halo" }, text));
    });
    element.replaceChildren(frame);
    return count;
  };

  for (const element of document.querySelectorAll("[data-scatter], [data-parallel]")) {
    const isScatter = "scatter" in element.dataset;
    const axes = element.dataset.axes.split("\n").filter(Boolean);
    const say = (text) => { const line = document.createElement("p"); line.className = "soft"; line.textContent = text; element.after(line); };
    if (axes.length < 2) { say("Choose two fields that these runs have."); continue; }
    getJson(element.dataset.scatter || element.dataset.parallel).then((data) => {
      const draw = () => (isScatter ? drawScatter(element, data, axes) : drawParallel(element, data, axes));
      const count = draw();
      if (!count) say("No run has these fields.");
      else if (data.more || (!isScatter && data.ids.length > 500)) say(`These are the first ${count.toLocaleString()} runs of the list.`);
      element.dataset.ready = "";
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
      let timer = 0;
      window.addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 150); });
    }).catch((error) => say(`Not drawn: ${error.message}.`));
  }
})();
