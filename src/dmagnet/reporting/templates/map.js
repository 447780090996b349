"use strict";
// Points on a canvas; all numbers of a galaxy are 16-bit, row after row.
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const bytes = Uint8Array.from(atob(data.rows), (c) => c.charCodeAt(0));
  const numbers = new DataView(bytes.buffer);
  const num = data.ids.length;
  const at = (i, k) => numbers.getUint16(2 * (i * data.width + k), true);
  const X = 0, Y = 1, CLASS = 2, PERCENT = 3, SCORE = 4, TILE = 5, ALIKE = 6;
  const xs = Float32Array.from({ length: num }, (_, i) => at(i, X) / 65535);
  const ys = Float32Array.from({ length: num }, (_, i) => 1 - at(i, Y) / 65535);
  const classes = Uint16Array.from({ length: num }, (_, i) => at(i, CLASS));
  const sheet = find("sheet"), canvas = find("points"), tip = find("tip");
  const pen = canvas.getContext("2d");
  const counts = data.classes.map((_, k) => classes.reduce((n, c) => n + (c === k), 0));
  const shown = data.classes.map(() => true);
  const NEAR = 14, EDGE = 24, CLOSEST = 400; // px, px, times
  let zoom = 1, middle = [0.5, 0.5], wide = 1, high = 1, hovered = -1, chosen = -1;

  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const color = (k) => data.colors[k % data.colors.length];
  const mark = (on, k, x, y, r) => {
    on.beginPath();
    const shape = Math.floor(k / data.colors.length) % 3;
    if (shape === 0) on.arc(x, y, r, 0, 7);
    else if (shape === 1) { on.moveTo(x, y - 1.3 * r); on.lineTo(x + 1.3 * r, y + r); on.lineTo(x - 1.3 * r, y + r); }
    else on.rect(x - r, y - r, 2 * r, 2 * r);
    on.closePath();
    on.fillStyle = color(k);
    on.fill();
  };
  const sure = (i) => (at(i, PERCENT) > 99 ? "over 99\u00a0%" : `${at(i, PERCENT)}\u00a0%`);
  const told = (i) => `${data.classes[classes[i]]}, ${sure(i)}`;

  const picture = (i) => {
    const tile = at(i, TILE) - 1;
    if (tile < 0 || !sheet) return make("span", "no picture on this page", { class: "blank" });
    const drawn = make("canvas", "", { role: "img", "aria-label": `Picture of ${data.ids[i]}` });
    drawn.width = drawn.height = 2 * data.side;
    const x = (tile % data.columns) * data.side, y = Math.floor(tile / data.columns) * data.side;
    const cut = () => drawn.getContext("2d").drawImage(
      sheet, x, y, data.side, data.side, 0, 0, drawn.width, drawn.height);
    if (sheet.complete) cut(); else sheet.addEventListener("load", cut);
    return drawn;
  };

  const screen = (i) => [
    (xs[i] - middle[0]) * zoom * (wide - 2 * EDGE) + wide / 2,
    (ys[i] - middle[1]) * zoom * (high - 2 * EDGE) + high / 2,
  ];
  const radius = () => Math.min(8, (num < 300 ? 5 : num < 5000 ? 3 : 1.6) * zoom ** 0.35);

  const draw = () => {
    const ratio = devicePixelRatio || 1;
    wide = canvas.clientWidth; high = canvas.clientHeight;
    canvas.width = Math.round(wide * ratio); canvas.height = Math.round(high * ratio);
    canvas.style.touchAction = zoom > 1 ? "none" : "pan-y"; // a page that is whole scrolls
    const r = radius(), box = Math.ceil(3 * r * ratio);
    const stamps = data.classes.map((_, k) => {
      const stamp = document.createElement("canvas");
      stamp.width = stamp.height = box;
      mark(stamp.getContext("2d"), k, box / 2, box / 2, r * ratio);
      return stamp;
    });
    for (let i = num - 1; i >= 0; i--) { // the most unusual on top
      if (!shown[classes[i]]) continue;
      const [x, y] = screen(i);
      if (x < -9 || y < -9 || x > wide + 9 || y > high + 9) continue;
      pen.drawImage(stamps[classes[i]], x * ratio - box / 2, y * ratio - box / 2);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const ring = (i, more, width) => {
      const [x, y] = screen(i);
      pen.lineWidth = width;
      pen.strokeStyle = "#ffffff";
      pen.beginPath(); pen.arc(x, y, r + more, 0, 7); pen.stroke();
    };
    if (chosen >= 0) {
      const from = screen(chosen);
      pen.strokeStyle = "#ffffff80"; pen.lineWidth = 1;
      for (const i of alike(chosen)) {
        pen.beginPath(); pen.moveTo(...from); pen.lineTo(...screen(i)); pen.stroke();
      }
      for (const i of alike(chosen)) ring(i, 3, 1);
      ring(chosen, 5, 2.5);
    }
    if (hovered >= 0) ring(hovered, 4, 2);
  };
  let asked = false;
  const redraw = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };

  const alike = (i) => Array.from({ length: data.width - ALIKE }, (_, k) => at(i, ALIKE + k));
  const closest = (x, y, fits = () => true, limit = Infinity) => {
    let best = -1, least = limit;
    for (let i = 0; i < num; i++) {
      if (!shown[classes[i]]) continue;
      const [px, py] = screen(i), away = Math.hypot(px - x, py - y);
      if (away < least && fits(px - x, py - y)) { least = away; best = i; }
    }
    return best;
  };

  const hover = (i) => {
    if (i === hovered) return;
    hovered = i;
    tip.hidden = i < 0;
    if (i >= 0) {
      tip.replaceChildren(picture(i), make("strong", told(i)), make("div", data.ids[i]));
      const [x, y] = screen(i), above = canvas.offsetTop;
      const left = x + 16 + tip.offsetWidth > wide ? x - 16 - tip.offsetWidth : x + 16;
      tip.style.left = `${Math.max(4, left)}px`;
      tip.style.top = `${above + Math.max(4, Math.min(y - 20, high - tip.offsetHeight - 4))}px`;
    }
    redraw();
  };

  const choose = (i, follow = true) => {
    chosen = i;
    const panel = find("chosen");
    panel.hidden = i < 0;
    hover(-1);
    if (i < 0) return redraw();
    shown[classes[i]] = true;
    const words = make("div"), list = make("ul", "", { "aria-label": "Most like it" });
    words.append(
      make("p").appendChild(make("strong", told(i))).parentElement, make("p", data.ids[i], { class: "note" }),
      make("p", `Number ${(i + 1).toLocaleString("en")} of ${num.toLocaleString("en")} in the order ` +
        `from unusual to usual: ${(at(i, SCORE) / 100).toFixed(2)}`, { class: "note" }),
      make("p", "Most like it:"));
    for (const other of alike(i)) {
      const item = make("li"), button = make("button", "", { type: "button" });
      button.append(picture(other), make("strong", told(other)), make("div", data.ids[other]));
      button.addEventListener("click", () => { choose(other); canvas.focus({ preventScroll: true }); });
      item.append(button);
      list.append(item);
    }
    panel.replaceChildren(picture(i), words, list);
    const [x, y] = screen(i);
    if (follow && (x < 0 || y < 0 || x > wide || y > high)) middle = [xs[i], ys[i]];
    legend();
    redraw();
  };

  const scale = (factor, x = wide / 2, y = high / 2) => {
    const before = zoom;
    zoom = Math.min(CLOSEST, Math.max(1, zoom * factor));
    const gain = 1 / before - 1 / zoom;
    middle[0] += (x - wide / 2) / (wide - 2 * EDGE) * gain;
    middle[1] += (y - high / 2) / (high - 2 * EDGE) * gain;
    if (zoom === 1) middle = [0.5, 0.5];
    hover(-1);
    redraw();
  };
  const whole = () => scale(0);

  const legend = () => {
    if (!find("legend").children.length) {
      const all = (value) => () => { shown.fill(value); legend(); redraw(); };
      for (const [text, value] of [["All", true], ["None", false]]) {
        const item = make("li"), button = make("button", text, { type: "button" });
        button.addEventListener("click", all(value));
        item.append(button);
        find("legend").append(item);
      }
      data.classes.forEach((name, k) => {
        if (!counts[k]) return;
        const item = make("li"), button = make("button", "", { type: "button", "data-class": k });
        const swatch = make("canvas", "", { "aria-hidden": "true" });
        swatch.width = swatch.height = 16;
        mark(swatch.getContext("2d"), k, 8, 8, 5);
        button.append(swatch, make("span", `${name} ${counts[k].toLocaleString("en")}`));
        button.addEventListener("click", () => { shown[k] = !shown[k]; hover(-1); legend(); redraw(); });
        item.append(button);
        find("legend").append(item);
      });
    }
    for (const button of find("legend").querySelectorAll("[data-class]"))
      button.setAttribute("aria-pressed", shown[button.dataset.class]);
  };

  // Pointers: one hovers, drags or chooses; two bring closer.
  const down = new Map();
  let moved = 0, apart = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = () => {
    const [a, b] = [...down.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  canvas.addEventListener("pointerdown", (event) => {
    down.set(event.pointerId, place(event));
    moved = 0;
    if (down.size === 2) apart = spread();
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = down.get(event.pointerId);
    if (!before) return hover(closest(...now, undefined, NEAR));
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    down.set(event.pointerId, now);
    if (down.size === 2) {
      const wider = spread();
      scale(wider / apart, ...now);
      apart = wider;
    } else if (moved > 4 && zoom > 1) {
      if (!canvas.hasPointerCapture(event.pointerId)) canvas.setPointerCapture(event.pointerId);
      middle[0] -= (now[0] - before[0]) / zoom / (wide - 2 * EDGE);
      middle[1] -= (now[1] - before[1]) / zoom / (high - 2 * EDGE);
      hover(-1);
      redraw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (moved <= 4 && down.size === 1) choose(closest(...place(event), undefined, 2 * NEAR));
    down.delete(event.pointerId);
  });
  canvas.addEventListener("pointercancel", (event) => down.delete(event.pointerId));
  canvas.addEventListener("pointerleave", (event) => { down.delete(event.pointerId); hover(-1); });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    scale(Math.exp(-event.deltaY / 300), ...place(event));
  }, { passive: false });

  const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (by) => {
      for (let i = chosen + by; i >= 0 && i < num; i += by) if (shown[classes[i]]) return choose(i);
    };
    const way = WAYS[event.key];
    if (way) {
      const [x, y] = chosen >= 0 ? screen(chosen) : [wide / 2, high / 2];
      const fits = (dx, dy) => {
        const along = dx * way[0] + dy * way[1];
        return along > 0.01 && Math.abs(dx * way[1] + dy * way[0]) <= along;
      };
      const next = closest(x, y, chosen >= 0 ? fits : undefined);
      if (next >= 0) choose(next);
    } else if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
    else if (event.key === "+" || event.key === "=") scale(1.5, ...(chosen >= 0 ? screen(chosen) : []));
    else if (event.key === "-") scale(1 / 1.5);
    else if (event.key === "0") whole();
    else if (event.key === "Escape") choose(-1);
    else return;
    event.preventDefault();
  });

  find("closer").addEventListener("click", () => scale(1.5, ...(chosen >= 0 ? screen(chosen) : [])));
  find("farther").addEventListener("click", () => scale(1 / 1.5));
  find("whole").addEventListener("click", whole);
  find("find").addEventListener("change", (event) => {
    const text = event.target.value.trim().toLowerCase();
    const exact = data.ids.findIndex((id) => id.toLowerCase() === text);
    const i = exact >= 0 ? exact : data.ids.findIndex((id) => id.toLowerCase().includes(text));
    find("missed").textContent = text && i < 0 ? "not on this page" : "";
    if (text && i >= 0) choose(i);
  });
  for (const card of document.querySelectorAll("[data-place]"))
    card.addEventListener("click", (event) => {
      event.preventDefault(); // to follow the link would take the focus
      choose(Number(card.dataset.place));
      find("sky").scrollIntoView();
      canvas.focus({ preventScroll: true });
    });
  new ResizeObserver(redraw).observe(canvas);
  legend();
  draw();
})();
