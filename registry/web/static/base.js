// What refines every page: times in the reader's zone, keys, and questions before something is lost.
"use strict";
(() => {
  const format = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit",
  });
  const localTimes = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.textContent = format.format(moment);
      element.dataset.local = "";
    }
  };
  localTimes(document);
  for (const tick of document.querySelectorAll("text[data-tick]")) {
    const moment = new Date(Number(tick.dataset.tick));
    tick.textContent = Number(tick.dataset.span) < 172800000 ? moment.toLocaleTimeString() : moment.toLocaleDateString();
  }
  // Other scripts call this after they have put new markup in the page.
  window.registryPage = { localTimes };

  // What takes long to compute is asked for when it is seen: a link becomes what its page says in the element of that id.
  const load = async (link) => {
    const answer = await fetch(link.href);
    if (!answer.ok) return;
    const part = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(link.dataset.load);
    if (part) link.textContent = part.textContent;
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      load(target).catch(() => { /* the link leads there all the same */ });
    }
  });
  document.querySelectorAll("a[data-load]").forEach((link) => seen.observe(link));

  const keys = document.getElementById("keys");
  const help = document.querySelector("[data-help]");
  if (help) {
    help.hidden = false;
    help.addEventListener("click", () => keys.showModal());
  }

  const rows = () => [...document.querySelectorAll("tbody tr")].filter((row) => row.querySelector("a") && row.offsetParent && !row.closest("dialog"));
  let chosen = -1;
  const choose = (step) => {
    const all = rows();
    if (!all.length) return;
    if (chosen >= 0 && all[chosen]) all[chosen].classList.remove("chosen");
    chosen = Math.min(Math.max(chosen + step, 0), all.length - 1);
    all[chosen].classList.add("chosen");
    all[chosen].querySelector("a").focus();
    all[chosen].scrollIntoView({ block: "nearest" });
  };

  let isGoing = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, dialog[open], [contenteditable]")) return;
    if (isGoing) {
      isGoing = false;
      const place = document.querySelector(`nav [data-key="${CSS.escape(event.key)}"]`);
      if (place) { event.preventDefault(); place.click(); }
      return;
    }
    if (event.key === "g") isGoing = true;
    else if (event.key === "j") choose(1);
    else if (event.key === "k") choose(-1);
    else if (event.key === "?") keys.showModal();
    else if (event.key === "/") {
      const search = document.querySelector("main [data-search]") || document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.ask;
    if (question && !window.confirm(question)) { event.preventDefault(); return; }
    if (event.target.method === "post") {
      // A second click must not send the form twice.
      for (const button of event.target.querySelectorAll("button")) setTimeout(() => { button.disabled = true; });
    }
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form[method=post] button:disabled")) button.disabled = false;
  });
})();
