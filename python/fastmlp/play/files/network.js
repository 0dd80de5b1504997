// The network: pictures of inputs and units, lines by weight or gradient, numbers of each.

import { byId, colors, css, decoded, facts, paint, shown } from "/files/common.js";

const PICTURE = 50 * 50;
const UNIT = 44;
const HEAD = 62;
const MOST_UNITS = 12;
const FEW_LINES = 120; // more are thinner and fainter
const NAMES = ["A", "B", "C"];
const SVG = "http://www.w3.org/2000/svg";

export class Network {
  constructor({ onFeatures, onHidden, onLook }) {
    this.net = byId("net");
    this.onFeatures = onFeatures;
    this.onHidden = onHidden;
    this.onLook = onLook;
    this.looked = null; // {column, unit} of what is pointed at
    byId("fewer-layers").addEventListener("click", () => onHidden((hidden) => hidden.slice(0, -1)));
    byId("more-layers").addEventListener("click", () => onHidden((hidden) => [...hidden, 4]));
    byId("lines").addEventListener("change", () => this.draw());
    // A finger that leaves a unit leaves it the focus, until it touches something else.
    document.addEventListener("pointerdown", ({ target }) => {
      if (this.looked && !target.closest("[data-key]")) this.look(null);
    });
    new ResizeObserver(() => this.place()).observe(byId("scroll"));
  }

  get inputs() {
    return Object.keys(facts.features);
  }

  // ------------------------------------------------------------ a new network

  begin(start) {
    const shape = JSON.stringify([start.sizes, start.settings.features, start.classes]);
    this.hidden = start.settings.hidden;
    this.features = start.settings.features;
    this.sizes = start.sizes;
    this.classes = start.classes;
    this.pictures = decoded(start.inputs);
    if (this.looked && start.settings.data !== this.data) this.look(null);
    this.data = start.settings.data;
    if (shape !== this.shape) {
      this.shape = shape;
      this.build();
    }
    this.paintInputs();
  }

  build() {
    const focused = document.activeElement?.dataset?.key;
    const net = this.net;
    net.replaceChildren();
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("aria-hidden", "true");
    net.append(this.svg);
    this.columns = [
      this.inputs.map((name) => this.inputButton(name)),
      ...this.hidden.map((count, layer) =>
        Array.from({ length: count }, (_, unit) => this.unitButton(layer, unit))),
      this.outputs(),
    ];
    this.heads = [this.head("Inputs"), ...this.hidden.map((count, i) => this.layerHead(i, count)), this.head("")];
    this.lines = this.buildLines();
    byId("layers-shown").textContent =
      this.hidden.length === 1 ? "1 hidden layer" : `${this.hidden.length} hidden layers`;
    this.enableLayers();
    this.look(null);
    this.place();
    if (focused) this.focusNear(focused);
  }

  // Returns the focus to a control that was drawn anew, or to the nearest one that is left.
  focusNear(key) {
    const keys = [key, key.endsWith("--1") ? key.replace("--1", "-1") : key.replace(/-1$/, "--1")];
    const [kind, layer, unit] = key.split("-");
    if (kind === "unit") for (let before = unit - 1; before >= 0; before -= 1) keys.push(`unit-${layer}-${before}`);
    const controls = keys.map((name) => this.net.querySelector(`[data-key="${name}"]:not(:disabled)`));
    (controls.find((control) => control) ?? byId("scroll")).focus();
  }

  // A button that is disabled leaves the focus to the other one.
  enableLayers() {
    const [fewer, more] = [byId("fewer-layers"), byId("more-layers")];
    const count = this.hidden.length;
    const focused = document.activeElement;
    [fewer.disabled, more.disabled] = [count === 0, count === 6];
    if (focused === fewer && fewer.disabled) more.focus();
    if (focused === more && more.disabled) fewer.focus();
  }

  inputButton(name) {
    const button = made("button", "unit input");
    button.type = "button";
    button.dataset.key = `input-${name}`;
    const isOn = this.features.includes(name);
    button.setAttribute("aria-pressed", isOn);
    button.setAttribute("aria-label", `Input ${facts.features[name]}`);
    button.append(document.createElement("canvas"));
    button.addEventListener("click", () => {
      this.onFeatures((features) =>
        this.inputs.filter((other) => (other === name) !== features.includes(other)));
    });
    const label = made("span", "name");
    label.textContent = facts.features[name];
    label.setAttribute("aria-hidden", "true");
    this.net.append(button, label);
    return { button, canvas: button.firstChild, label };
  }

  unitButton(layer, unit) {
    const button = made("button", "unit");
    button.type = "button";
    button.dataset.key = `unit-${layer}-${unit}`;
    button.append(document.createElement("canvas"));
    const mark = made("span", "mark");
    mark.setAttribute("aria-hidden", "true");
    this.connectLook(button, { column: layer + 1, unit });
    this.net.append(button, mark);
    return { button, canvas: button.firstChild, mark };
  }

  // Its numbers are those of a unit that is pointed at, and the description of one with the focus.
  connectLook(button, place) {
    button.setAttribute("aria-describedby", "detail");
    for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => this.look(place));
    for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => this.look(null));
  }

  outputs() {
    return Array.from({ length: this.sizes.at(-1) }, (_, unit) => {
      const button = made("button", "end");
      button.type = "button";
      button.dataset.key = `output-${unit}`;
      button.setAttribute("aria-label", `Output ${this.outputName(unit)}`);
      const dot = made("span", `dot ${this.classes ? NAMES[unit] : "value"}`);
      button.append(dot, this.classes ? NAMES[unit] : "y");
      this.connectLook(button, { column: this.sizes.length - 1, unit });
      this.net.append(button);
      return { button };
    });
  }

  outputName(unit) {
    return this.classes ? `class ${NAMES[unit]}` : "y";
  }

  isOutput(column) {
    return column === this.sizes.length - 1;
  }

  head(text) {
    const head = made("div", "column");
    head.textContent = text;
    this.net.append(head);
    return head;
  }

  layerHead(layer, count) {
    const head = this.head(count === 1 ? "1 unit" : `${count} units`);
    const group = made("div", "counter");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Units of hidden layer ${layer + 1}`);
    const change = (by) => this.onHidden((hidden) => hidden.map((n, i) => (i === layer ? n + by : n)));
    for (const [text, by, what, isOff] of [
      ["−", -1, "Remove a unit from", count === 1],
      ["+", 1, "Add a unit to", count === MOST_UNITS],
    ]) {
      const button = made("button");
      button.type = "button";
      button.textContent = text;
      button.disabled = isOff;
      button.dataset.key = `head-${layer}-${by}`;
      button.setAttribute("aria-label", `${what} hidden layer ${layer + 1}`);
      button.addEventListener("click", () => change(by));
      group.append(button);
    }
    head.append(group);
    return head;
  }

  // One line for each weight, in the order of the arrays: by layer, by input, by output.
  buildLines() {
    const lines = [];
    for (let layer = 0; layer + 1 < this.sizes.length; layer += 1) {
      for (let from = 0; from < this.sizes[layer]; from += 1) {
        for (let to = 0; to < this.sizes[layer + 1]; to += 1) {
          const path = document.createElementNS(SVG, "path");
          const hit = document.createElementNS(SVG, "path");
          hit.setAttribute("class", "hit");
          const number = lines.length;
          hit.addEventListener("pointerenter", () => this.tellLine(number));
          hit.addEventListener("pointerleave", () => this.tell(""));
          this.svg.append(path, hit);
          const row = layer === 0 ? this.inputs.indexOf(this.features[from]) : from;
          lines.push({ path, hit, layer, from, to, row });
        }
      }
    }
    return lines;
  }

  // ------------------------------------------------------------ places

  place() {
    if (!this.columns) return;
    const tallest = Math.max(...this.columns.map((column) => column.length));
    const pitch = tallest > 8 ? 50 : 54;
    const height = HEAD + tallest * pitch + 6;
    const least = 84 + 72 * (this.columns.length - 1) + 30;
    const width = Math.max(byId("scroll").clientWidth - 16, least);
    this.net.style.height = `${height}px`;
    this.net.style.width = `${width}px`;
    const first = 84;
    const step = (width - first - 34) / (this.columns.length - 1);
    this.columns.forEach((column, c) => {
      const x = first + c * step;
      this.heads[c].style.left = `${x}px`;
      column.forEach((unit, u) => {
        const y = HEAD + (tallest * pitch) / 2 + (u - (column.length - 1) / 2) * pitch;
        Object.assign(unit, { x, y });
        unit.button.style.left = `${x}px`;
        unit.button.style.top = `${y}px`;
        if (unit.label) {
          unit.label.style.left = `${x - UNIT / 2 - 6}px`;
          unit.label.style.top = `${y}px`;
        }
        if (unit.mark) {
          unit.mark.style.left = `${x}px`;
          unit.mark.style.top = `${y + UNIT / 2 - 9}px`;
        }
      });
    });
    for (const line of this.lines) {
      const a = this.columns[line.layer][line.row];
      const b = this.columns[line.layer + 1][line.to];
      const isLast = line.layer + 2 === this.sizes.length;
      const [x1, x2] = [a.x + UNIT / 2, b.x - (isLast ? 4 : UNIT / 2)];
      const bend = (x2 - x1) / 2;
      const way = `M${x1} ${a.y}C${x1 + bend} ${a.y} ${x2 - bend} ${b.y} ${x2} ${b.y}`;
      line.path.setAttribute("d", way);
      line.hit.setAttribute("d", way);
    }
  }

  // ------------------------------------------------------------ frames

  show(frame) {
    this.weights = decoded(frame.weights, Float32Array);
    this.gradients = decoded(frame.gradients, Float32Array);
    this.biases = decoded(frame.biases, Float32Array);
    this.biasGradients = decoded(frame.bias_gradients, Float32Array);
    this.units = decoded(frame.units);
    this.largest = frame.largest;
    this.dead = new Set(frame.dead);
    this.saturated = new Set(frame.saturated);
    this.draw();
  }

  paintInputs() {
    this.columns[0].forEach((input, i) => {
      const at = this.features.indexOf(this.inputs[i]);
      if (at >= 0) {
        paint(input.canvas, this.pictures.subarray(at * PICTURE, (at + 1) * PICTURE), colors.ramp);
      } else {
        paint(input.canvas, new Uint8Array(PICTURE).fill(128), colors.ramp);
      }
    });
  }

  draw() {
    if (!this.weights || this.weights.length !== this.lines.length) return;
    const isGradient = byId("lines").value === "gradient";
    const values = isGradient ? this.gradients : this.weights;
    let most = 1e-30;
    for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
    const thin = Math.min(1, Math.sqrt(FEW_LINES / values.length));
    this.svg.style.opacity = Math.sqrt(thin);
    for (const [i, line] of this.lines.entries()) {
      const size = Math.abs(values[i]);
      const share = isGradient ? size / most : size / (size + 1);
      line.path.setAttribute("stroke", css(values[i] < 0 ? colors.a : colors.b));
      line.path.setAttribute("stroke-width", (thin * (0.4 + 6 * share)).toFixed(2));
    }
    let number = 0;
    for (const column of this.columns.slice(1, -1)) {
      for (const unit of column) {
        const picture = this.units.subarray(number * PICTURE, (number + 1) * PICTURE);
        paint(unit.canvas, picture, colors.ramp);
        const state = this.dead.has(number) ? "dead" : this.saturated.has(number) ? "saturated" : "";
        if (unit.state !== state) this.markUnit(unit, state);
        number += 1;
      }
    }
    if (this.looked) this.tellUnit();
    else if (this.told !== undefined) this.tellLine(this.told);
  }

  markUnit(unit, state) {
    unit.state = state;
    const [, layer, number] = unit.button.dataset.key.split("-").map(Number);
    const also = state && `, ${state}`;
    unit.button.setAttribute("aria-label", `Hidden layer ${layer + 1}, unit ${number + 1}${also}`);
    unit.button.classList.toggle("dead", state === "dead");
    unit.button.classList.toggle("saturated", state === "saturated");
    unit.mark.classList.toggle("saturated", state === "saturated");
    unit.mark.textContent = state === "saturated" ? "full" : state;
  }

  // ------------------------------------------------------------ numbers

  look(place) {
    this.looked = place;
    if (place) this.tellUnit();
    else this.tell("");
    this.onLook();
  }

  // The picture of the hidden unit that is pointed at, or null.
  get picture() {
    if (!this.looksAtHidden || !this.units) return null;
    const at = this.numberOf(this.looked) * PICTURE;
    return this.units.subarray(at, at + PICTURE);
  }

  get looksAtHidden() {
    return this.looked !== null && !this.isOutput(this.looked.column);
  }

  // What the plane shows: the output, or the hidden unit that is pointed at.
  get title() {
    return this.looksAtHidden ? `Layer ${this.looked.column}, unit ${this.looked.unit + 1}` : "Output";
  }

  numberOf({ column, unit }) {
    return this.hidden.slice(0, column - 1).reduce((sum, count) => sum + count, 0) + unit;
  }

  tellUnit() {
    if (!this.weights || this.weights.length !== this.lines.length) return;
    const { column, unit } = this.looked;
    const number = this.numberOf(this.looked);
    const incoming = [...this.lines.entries()].filter(
      ([, line]) => line.layer === column - 1 && line.to === unit);
    const weights = incoming.map(([i, line]) => `${this.nameOf(line)} ${shown(this.weights[i])}`);
    const size = Math.hypot(...incoming.map(([i]) => this.gradients[i]), this.biasGradients[number]);
    const { state } = this.columns[column][unit];
    const name = this.isOutput(column)
      ? `Output ${this.outputName(unit)}`
      : `Hidden layer ${column}, unit ${unit + 1}${state && `, ${state}`}`;
    const most = this.isOutput(column) ? "" : `; largest output of the layer ${shown(this.largest[column - 1])}`;
    this.tell(
      `${name}: bias ${shown(this.biases[number])}; weights ${weights.join(", ")}; `
      + `size of the gradient ${shown(size, 2)}${most}.`);
  }

  tellLine(number) {
    if (!this.weights) return;
    const line = this.lines[number];
    const isLast = this.isOutput(line.layer + 1);
    const target = isLast ? this.outputName(line.to) : `unit ${line.to + 1} of layer ${line.layer + 1}`;
    this.tell(
      `${this.nameOf(line)} to ${target}: weight ${shown(this.weights[number])}, `
      + `gradient ${shown(this.gradients[number], 2)}.`);
    this.told = number;
  }

  nameOf(line) {
    if (line.layer === 0) return facts.features[this.features[line.from]];
    return `unit ${line.from + 1}`;
  }

  tell(text) {
    this.told = undefined;
    const usual = "Point at a unit or a line, or move to a unit or an output with Tab, to read its numbers.";
    byId("detail").textContent = text || usual;
  }
}

function made(tag, kind = "") {
  const element = document.createElement(tag);
  element.className = kind;
  return element;
}
