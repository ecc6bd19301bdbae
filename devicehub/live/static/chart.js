// Beats per second over the last minutes.

import uPlot from "./vendor/uPlot.esm.js";

const SECONDS = 180;

export class Chart {
  #element = document.getElementById("chart");
  #counts = new Map(); // second -> beats in it
  #plot;

  constructor() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => () => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
    this.#plot = new uPlot(
      {
        ...this.#size(),
        cursor: { show: false },
        legend: { show: false },
        scales: { y: { range: (_, __, most) => [0, Math.max(most, 4)] } },
        axes: [
          { ...axis, size: 20, space: 90, values: (_, times) => times.map((at) => new Date(at * 1000).toLocaleTimeString()) },
          { ...axis, size: 36, space: 24, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
        ],
        series: [{}, { stroke: colour("--brand"), fill: () => `${colour("--brand")()}33`, width: 1.5, points: { show: false } }],
      },
      [[], []],
      this.#element,
    );
    new ResizeObserver(() => this.#plot.setSize(this.#size())).observe(this.#element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw());
  }

  beat() {
    const second = Math.floor(Date.now() / 1000);
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + 1);
  }

  clear() {
    this.#counts.clear();
  }

  /** Draw up to the last whole second; returns the mean of its last five. */
  draw() {
    const last = Math.floor(Date.now() / 1000) - 1;
    const times = Array.from({ length: SECONDS }, (_, index) => last - SECONDS + 1 + index);
    const beats = times.map((second) => this.#counts.get(second) ?? 0);
    for (const second of this.#counts.keys()) if (second < times[0]) this.#counts.delete(second);
    this.#plot.setData([times, beats]);
    return beats.slice(-5).reduce((sum, count) => sum + count, 0) / 5;
  }

  #size() {
    return { width: this.#element.clientWidth || 300, height: this.#element.clientHeight || 96 };
  }
}
