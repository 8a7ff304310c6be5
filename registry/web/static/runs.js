// Refines the pages of runs: completion of filters, the column chooser, selection, tags edited in place, live refresh.
"use strict";
(() => {
  const scope = () => {
    const query = new URLSearchParams(location.search);
    return new URLSearchParams(query.getAll("experiment").map((id) => ["experiment", id]));
  };
  const findKeys = async (group, text) => {
    const query = scope();
    query.append("group", group);
    query.append("q", text);
    const answer = await fetch(`/runs/keys.json?${query}`);
    return answer.ok ? (await answer.json()).keys : [];
  };
  const later = (work, wait = 150) => {
    let timer = 0;
    return (...given) => { clearTimeout(timer); timer = setTimeout(() => work(...given), wait); };
  };

  // ---- completion in the filter ----
  const GROUPS = { metrics: "metrics", metric: "metrics", params: "params", param: "params", tags: "tags", tag: "tags" };
  const ATTRIBUTES = ["metrics.", "params.", "tags.", "attributes.status", "attributes.run_name", "attributes.start_time",
    "attributes.end_time", "attributes.user_id", "attributes.run_id", "dataset.name", "dataset.digest"];
  const plain = /^[A-Za-z_][\w.]*$/;
  for (const input of document.querySelectorAll("[data-complete]")) {
    const list = document.createElement("ul");
    list.className = "completions";
    list.id = "completions";
    list.role = "listbox";
    list.setAttribute("aria-label", "Fields");
    list.hidden = true;
    input.parentElement.classList.add("has-completions");
    input.parentElement.append(list);
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", list.id);
    input.setAttribute("aria-autocomplete", "list");
    let chosen = -1, start = 0;
    const close = () => { list.hidden = true; chosen = -1; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
    const insert = (text) => {
      const rest = input.value.slice(input.selectionStart);
      input.value = input.value.slice(0, start) + text + rest;
      input.setSelectionRange(start + text.length, start + text.length);
      close();
      input.focus();
      if (text.endsWith(".")) complete();
    };
    const mark = () => {
      [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
      if (chosen >= 0) {
        input.setAttribute("aria-activedescendant", list.children[chosen].id);
        list.children[chosen].scrollIntoView({ block: "nearest" });
      }
    };
    const open = (items) => {
      list.replaceChildren(...items.slice(0, 50).map((text, index) => {
        const item = document.createElement("li");
        item.textContent = text;
        item.role = "option";
        item.id = `completion-${index}`;
        item.addEventListener("pointerdown", (event) => { event.preventDefault(); insert(text); });
        return item;
      }));
      list.hidden = !items.length;
      chosen = -1;
      input.setAttribute("aria-expanded", String(!list.hidden));
    };
    const complete = async () => {
      const before = input.value.slice(0, input.selectionStart);
      const quotes = (before.match(/'/g) || []).length;
      const word = before.match(/(?:^|[\s(])((?:[A-Za-z_]+\.)?(?:`[^`]*|[\w./-]*))$/);
      if (quotes % 2 || !word) { close(); return; }
      const text = word[1];
      start = before.length - text.length;
      const [, prefix, rest] = text.match(/^([A-Za-z_]+)\.`?(.*)$/) || [];
      const group = GROUPS[prefix];
      if (!group) {
        open(text ? ATTRIBUTES.filter((name) => name.startsWith(text.toLowerCase()) && name !== text) : []);
        return;
      }
      const keys = await findKeys(group, rest);
      if (input.value.slice(0, input.selectionStart) !== before) return;
      open(keys.filter((key) => key !== rest).map((key) => `${group}.${plain.test(key) ? key : `\`${key.replaceAll("`", "``")}\``}`));
    };
    input.addEventListener("input", later(complete));
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      const count = list.children.length;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + count) % count;
        mark();
      } else if ((event.key === "Enter" && chosen >= 0) || event.key === "Tab") {
        event.preventDefault();
        insert(list.children[Math.max(chosen, 0)].textContent);
      } else if (event.key === "Escape") close();
    });
  }

  // ---- the column chooser ----
  for (const chooser of document.querySelectorAll("[data-chooser]")) {
    const choices = chooser.querySelector("[data-choices]");
    chooser.querySelector("[data-chooser-search]").addEventListener("input", later(async (event) => {
      const text = event.target.value.trim().toLowerCase();
      const there = new Set([...choices.querySelectorAll("input")].map((input) => input.value));
      if (text) {
        for (const group of ["params", "metrics", "tags"]) {
          for (const key of await findKeys(group, text)) {
            const name = `${group}.${key}`;
            if (there.has(name)) continue;
            const label = document.createElement("label"), box = document.createElement("input"), shown = document.createElement("bdi");
            label.className = "check";
            box.type = "checkbox";
            box.name = "column";
            box.value = name;
            shown.textContent = name;
            label.append(box, " ", shown);
            choices.append(label);
          }
        }
      }
      for (const label of choices.children) {
        const box = label.querySelector("input");
        label.hidden = Boolean(text) && !box.checked && !box.value.toLowerCase().includes(text);
      }
    }));
    chooser.querySelector("[data-chooser-search]").addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  }
  // One menu at a time; Escape closes it.
  for (const menu of document.querySelectorAll("details.menu")) {
    menu.addEventListener("toggle", () => {
      if (menu.open) for (const other of document.querySelectorAll("details.menu[open]")) if (other !== menu) other.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); }
    });
  }

  // ---- selection, which the address keeps ----
  const form = document.querySelector("[data-selection]");
  if (form) {
    const chosen = () => [...new Set([...form.querySelectorAll("input[name=run]")]
      .filter((input) => input.type === "hidden" || input.checked).map((input) => input.value))];
    const put = (address) => {
      const url = new URL(address, location.href);
      url.searchParams.delete("select");
      for (const id of chosen()) url.searchParams.append("select", id);
      return url;
    };
    const tell = () => {
      const count = chosen().length;
      form.querySelector("[data-selected]").textContent = count ? `${count} selected` : "";
      for (const button of form.querySelectorAll(".selection button")) button.disabled = !count;
    };
    form.addEventListener("change", (event) => {
      if (event.target.name !== "run") return;
      history.replaceState(null, "", put(location.href));
      tell();
    });
    document.addEventListener("click", (event) => {
      const anchor = event.target.closest('main a[href^="/runs?"], main a[href="/runs"]');
      if (anchor) anchor.href = put(anchor.href);
    }, true);
    form.addEventListener("submit", (event) => {
      const button = event.submitter;
      if (button && button.classList.contains("danger") && !window.confirm(`Delete ${chosen().length} runs? They can be restored until gc removes them.`)) event.preventDefault();
    });
    tell();
  }

  // ---- tags edited in place ----
  const token = document.querySelector('meta[name="form-token"]')?.content;
  document.addEventListener("dblclick", (event) => edit(event.target.closest("[data-tag]")));
  for (const cell of document.querySelectorAll("[data-tag]")) {
    const isNote = cell.dataset.tag === "mlflow.note.content";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain edit";
    button.textContent = "✎";
    button.setAttribute("aria-label", isNote ? "Edit the note" : `Edit the tag ${cell.dataset.tag}`);
    button.addEventListener("click", () => edit(cell));
    cell.append(" ", button);
  }
  function edit(cell) {
    if (!cell || cell.querySelector("input, textarea")) return;
    const shown = cell.querySelector("bdi");
    const isLong = cell.dataset.tag === "mlflow.note.content" || cell.dataset.value.includes("\n");
    const input = document.createElement(isLong ? "textarea" : "input");
    input.value = cell.dataset.value;
    input.setAttribute("aria-label", cell.dataset.tag);
    shown.hidden = true;
    shown.after(input);
    input.focus();
    let isDone = false;
    const finish = async (keeps) => {
      if (isDone) return;
      isDone = true;
      if (keeps && input.value !== input.defaultValue) {
        const body = new URLSearchParams({ form_token: token, key: cell.dataset.tag, value: input.value });
        const answer = await fetch(`/runs/${encodeURIComponent(cell.dataset.run)}/tags`, { method: "POST", body, redirect: "manual" });
        if (answer.type === "opaqueredirect") { shown.textContent = input.value; cell.dataset.value = input.value; }
        else { window.alert("The tag is not changed; the server refused it."); }
      }
      shown.hidden = false;
      input.remove();
    };
    input.defaultValue = input.value;
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (!isLong || event.ctrlKey)) { event.preventDefault(); finish(true); }
      else if (event.key === "Escape") finish(false);
    });
    input.addEventListener("blur", () => finish(true));
  }

  // ---- live refresh: parts of the page are replaced by those of a new answer ----
  const parts = ["live-status", "live-facts", "live-metrics", "runs-table"];
  const isLive = () => document.querySelector("[data-live], [data-live-table]");
  const beat = async () => {
    const started = performance.now();
    const isBusy = document.activeElement && document.activeElement.closest("#runs-table, #live-metrics");
    if (!document.hidden && !isBusy) {
      try {
        const answer = await fetch(location.href);
        if (answer.ok) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
          for (const id of parts) {
            const old = document.getElementById(id), now = fresh.getElementById(id);
            if (!old || !now) continue;
            const ticked = [...old.querySelectorAll("input:checked")].map((input) => input.value);
            now.querySelectorAll("input[name=run]").forEach((input) => { input.checked = ticked.includes(input.value); });
            window.registryPage?.localTimes(now);
            old.replaceWith(document.adoptNode(now));
          }
        }
      } catch { /* the server is away; ask again later */ }
    }
    if (isLive()) setTimeout(beat, Math.max(3000, 5 * (performance.now() - started)));
    else document.querySelector("[data-live-charts]")?.setAttribute("data-live-status", "ended");
  };
  if (isLive()) setTimeout(beat, 3000);
})();
