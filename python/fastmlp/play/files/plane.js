// The plane: decision regions, points, and points that are drawn.

import { colors, css, paint } from "/files/common.js";

const REACH = 6;
const RADIUS = 6.5;
const BETWEEN = 0.35; // points of one stroke

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
    canvas.addEventListener("pointerup", () => { this.last = null; });
    canvas.addEventListener("pointercancel", () => { this.last = null; });
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
    this.points.forEach(([x1, x2], i) => {
      const isTest = i >= this.trained;
      if (isTest && !this.showsTest) return;
      pen.beginPath();
      pen.arc(((x1 + REACH) / 2 / REACH) * side, ((REACH - x2) / 2 / REACH) * side, RADIUS, 0, 7);
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
    if (!this.draws) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.placeOf(event);
    this.onPoint(this.last);
  }

  move(event) {
    if (!this.last) return;
    const place = this.placeOf(event);
    if (Math.hypot(place.x1 - this.last.x1, place.x2 - this.last.x2) < BETWEEN) return;
    this.last = place;
    this.onPoint(place);
  }
}
