// The picture of a server that restarts: what befell new connections, and when.

// All new connections: those without a bad fate were served, some of them late.
function befallen(counts) {
  const parts = ["refused", "reset", "closed", "failed", "lost", "delayed"].map((name) => fate(name, counts[name])).filter((part) => part.value);
  const rest = count(counts.flows) - sum(parts);
  return rest > 0 ? [fate("served", rest), ...parts] : parts;
}

// The parts of the time line, by when their connections began: ms after the restart did.
function moments(counts) {
  const found = new Map();
  for (const [name, value] of Object.entries(counts)) {
    const [, since, what] = /^at_(\d{1,5})_(old|new|lost|slowest)$/.exec(name) ?? [];
    if (since === undefined) continue;
    if (!found.has(Number(since))) found.set(Number(since), { old: 0, new: 0, lost: 0, slowest: 0 });
    found.get(Number(since))[what] = count(value);
  }
  return [...found].sort(([one], [other]) => one - other);
}

const WHO = { old: "c-m0", new: "c-m1", lost: "c-bad" };

// A row for each part: who served, as shares of its connections, and how long the slowest took.
function timeline(svg, y, rows) {
  const [left, right] = [84, WIDTH - 62];
  svg.append(word(0, y + 12, "ms after a restart", "c-faint"), word(right + 6, y + 12, "slowest", "c-faint"));
  for (const [index, [since, met]] of rows.entries()) {
    const top = y + 20 + index * 20;
    const until = rows[index + 1]?.[0];
    const total = Math.max(met.old + met.new + met.lost, 1);
    svg.append(word(0, top + 12, until === undefined ? `from ${since}` : `${since} – ${until}`));
    let x = left;
    for (const [who, style] of Object.entries(WHO)) {
      if (!met[who]) continue;
      const width = Math.max((met[who] / total) * (right - left), who === "lost" ? 3 : 0);
      bar(svg, x, top, Math.min(width, right - x), 15, { name: who, value: met[who], style }, titled({ name: who, value: met[who] }));
      x = Math.min(x + width, right);
    }
    svg.append(word(right + 6, top + 12, `${met.slowest} ms`));
  }
  const bottom = y + 20 + rows.length * 20;
  const all = (who) => rows.reduce((total, [, met]) => total + met[who], 0);
  const parts = Object.entries(WHO).map(([name, style]) => ({ name, value: all(name), style }));
  return legend(svg, bottom + 14, parts.filter((part) => part.value));
}

function restarted(svg, { counts }) {
  const parts = befallen(counts);
  if (!parts.length) return 0;
  const y = stacked(svg, 0, "new connections", parts);
  const rows = moments(counts);
  return rows.length ? timeline(svg, y, rows) : y;
}
