// The plane: decision regions, points, and points that are drawn.

import { colors, css, paint, startsStroke } from "/files/common.js";

const REACH = 6;
const RADIUS = 6.5;
const BETWEEN = 0.35; // points of one stroke

const circle = (pen, x, y) => pen.arc(x, y, RADIUS, 0, 7);

const square = (pen, x, y) => pen.rect(x - 0.9 * RADIUS, y - 0.9 * RADIUS, 1.8 * RADIUS, 1.8 * RADIUS);

function triangle(pen, x, y) {
  pen.moveTo(x, y - 1.3 * RADIUS);
  pen.lineTo(x + 1.2 * RADIUS, y + 0.8 * RADIUS);
  pen.lineTo(x - 1.2 * RADIUS, y + 0.8 * RADIUS);
  pen.closePath();
}

const OUTLINES = [circle, square, triangle]; // of the classes, which differ by more than color

export class Plane {
  constructor(canvas, onPoint) {
    this.canvas = canvas;
    this.onPoint = onPoint;
    this.picture = document.createElement("canvas");
    this.showsTest = true;
    this.draws = false;
    this.last = null;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => { if (event.isPrimary) this.last = null; });
    }
  }

  begin(start) {
    Object.assign(this, { points: start.points, labels: start.labels, trained: start.trained });
    this.isOfClasses = start.classes > 0;
    this.draws = start.settings.data === "drawn";
    this.canvas.classList.toggle("draws", this.draws);
  }

  // `unit`: the picture of a unit in place of the regions.
  show(bytes, unit = null) {
    this.bytes = bytes;
    this.unit = unit;
    this.draw();
  }

  draw() {
    if (!this.bytes) return;
    const table = this.isOfClasses && !this.unit ? colors.regions : colors.pale;
    paint(this.picture, this.unit ?? this.bytes, table);
    const pen = this.canvas.getContext("2d");
    const side = this.canvas.width;
    pen.imageSmoothingEnabled = true;
    pen.drawImage(this.picture, 0, 0, side, side);
    this.drawAxes(pen, side);
    this.points.forEach(([x1, x2], i) => {
      const isTest = i >= this.trained;
      if (isTest && !this.showsTest) return;
      const outline = this.isOfClasses ? OUTLINES[this.labels[i]] : circle;
      pen.beginPath();
      outline(pen, ((x1 + REACH) / 2 / REACH) * side, ((REACH - x2) / 2 / REACH) * side);
      const color = css(this.colorOf(this.labels[i]));
      pen.lineWidth = 2;
      if (isTest) {
        pen.lineWidth = 6;
        pen.strokeStyle = css(colors.paper);
        pen.stroke();
        pen.lineWidth = 3;
        pen.strokeStyle = color;
        pen.stroke();
      } else {
        pen.fillStyle = color;
        pen.fill();
        pen.strokeStyle = css(colors.paper);
        pen.stroke();
      }
    });
  }

  drawAxes(pen, side) {
    pen.font = "24px system-ui, sans-serif";
    pen.lineWidth = 4;
    pen.strokeStyle = css(colors.paper);
    pen.fillStyle = css(colors.ink);
    for (const [text, x, y, align, baseline] of [
      ["−6", 6, side - 6, "left", "bottom"], ["x₁", side / 2, side - 6, "center", "bottom"],
      ["6", side - 6, side - 6, "right", "bottom"], ["6", 6, 6, "left", "top"], ["x₂", 6, side / 2, "left", "middle"],
    ]) {
      pen.textAlign = align;
      pen.textBaseline = baseline;
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    }
  }

  colorOf(label) {
    if (this.isOfClasses) return colors.classes[label];
    const main = label < 0 ? colors.a : colors.b;
    const share = 0.25 + 0.75 * Math.min(1, Math.abs(label));
    return main.map((part, i) => colors.soft[i] + (part - colors.soft[i]) * share);
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = (event.clientX - box.left) / box.width;
    const down = (event.clientY - box.top) / box.height;
    const inside = (value) => Math.round(100 * Math.max(-REACH, Math.min(REACH, value))) / 100;
    return { x1: inside(2 * REACH * across - REACH), x2: inside(REACH - 2 * REACH * down) };
  }

  down(event) {
    if (!this.draws || !startsStroke(event)) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.placeOf(event);
    this.onPoint(this.last);
  }

  move(event) {
    if (!this.last || !event.isPrimary) return;
    const place = this.placeOf(event);
    if (Math.hypot(place.x1 - this.last.x1, place.x2 - this.last.x2) < BETWEEN) return;
    this.last = place;
    this.onPoint(place);
  }
}
