// The losses of both parts by epoch.

import { colors, css, shown } from "/files/common.js";

// As many digits as tell the ends of an axis apart.
function written(epoch, span) {
  const digits = Math.max(0, Math.min(4, 1 - Math.floor(Math.log10(span || 1))));
  return epoch.toLocaleString("en", { maximumFractionDigits: digits });
}

export function drawCurve(canvas, curve) {
  const scale = devicePixelRatio;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const [left, right, top, bottom] = [38, 6, 8, 20];
  const all = [...curve.train, ...curve.test].filter((value) => value !== null).sort((a, b) => a - b);
  // A few large losses at the start would press all others flat; they end at the upper edge.
  const most = Math.max(1e-9, Math.min(all.at(-1) ?? 0, 1.5 * (all[Math.floor(0.97 * all.length)] ?? 0)));
  const last = curve.epochs.at(-1) ?? 1;
  const first = curve.epochs[0] ?? 0;
  const x = (epoch) => left + ((epoch - first) / Math.max(1e-9, last - first)) * (width - left - right);
  const y = (loss) => top + (1 - Math.min(1, loss / most)) * (height - top - bottom);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = css(colors.soft);
  pen.strokeStyle = css(colors.line);
  pen.lineWidth = 1;
  for (const share of [0, 0.5, 1]) {
    const at = Math.round(y(share * most)) + 0.5;
    pen.beginPath();
    pen.moveTo(left, at);
    pen.lineTo(width - right, at);
    pen.stroke();
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    if (all.length) pen.fillText(shown(share * most, 2), left - 5, at);
  }
  pen.textBaseline = "alphabetic";
  if (curve.epochs.length) {
    pen.textAlign = "left";
    pen.fillText(`epoch ${written(first, last - first)}`, left, height - 4);
    pen.textAlign = "right";
    if (last > first) pen.fillText(written(last, last - first), width - right, height - 4);
  }
  const line = (losses, color, dashes) => {
    pen.beginPath();
    pen.strokeStyle = css(color);
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.setLineDash(dashes);
    losses.forEach((loss, i) => {
      if (loss !== null) pen.lineTo(x(curve.epochs[i]), y(loss));
    });
    pen.stroke();
    pen.setLineDash([]);
  };
  line(curve.train, colors.ink, []);
  line(curve.test, colors.warn, [5, 4]);
}
