// A small line chart in an SVG element: one or two series over the last so many values.

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 100;

function shape(parent, name, attributes) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

// A round number at or above the value: 1, 2 or 5 times a power of ten.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-3)));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value) ?? value;
}

export class Chart {
  constructor(svg, { series, length, grid = false, unit = '', least = 0 }) {
    this.least = least; // the top is never lower
    this.svg = svg;
    this.length = length;
    this.unit = unit;
    this.values = series.map(() => []);
    svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    if (grid) for (const y of [25, 50, 75]) shape(svg, 'path', { d: `M0 ${y}H${WIDTH}`, class: 'chart-grid' });
    this.fill = shape(svg, 'path', { class: 'chart-fill' });
    this.lines = series.map((name) => shape(svg, 'path', { class: `chart-${name}` }));
    this.title = shape(svg, 'title', {});
  }

  push(...values) {
    this.load([values], this.values);
  }

  // Rows of one value for each series, instead of what was there.
  load(rows, before = this.values.map(() => [])) {
    this.values = before.map((values, i) => [...values, ...rows.map((row) => row[i])].slice(-this.length));
    this.draw();
  }

  clear() {
    this.values = this.values.map(() => []);
    this.draw();
  }

  draw() {
    const top = ceiling(Math.max(...this.values.flat().map((v) => v * 1.05), this.least));
    const x = (i, count) => WIDTH - ((count - 1 - i) * WIDTH) / (this.length - 1);
    const y = (value) => HEIGHT - 3 - (value / top) * (HEIGHT - 10);
    this.values.forEach((values, n) => {
      const line = values.map((value, i) => `${x(i, values.length).toFixed(1)} ${y(value).toFixed(1)}`).join('L');
      this.lines[n].setAttribute('d', line && `M${line}`);
      if (n === 0)
        this.fill.setAttribute('d', values.length > 1 ? `M${x(0, values.length)} ${HEIGHT}L${line}V${HEIGHT}Z` : '');
    });
    this.title.textContent = `0 to ${top} ${this.unit}`;
  }
}
