// The sentences of a cell. account.py chose them; only the numbers are filled in here.

const PLACE = /\{(\w+)(?:\/(\w+))?\+?\}/g;

// `{reset}` is the count, `{reset/total}` is "all 43", "none of 43" or "12 of 43".
function filled(template, counts) {
  const said = template.replace(PLACE, (_, name, total) => {
    if (!total) return counts[name];
    return counts[name] === counts[total] ? `all ${counts[total]}` : `${counts[name] || "none"} of ${counts[total]}`;
  });
  return said.replace(/(^|[.?!] )(all|none)\b/g, (_, before, word) => `${before}${word[0].toUpperCase()}${word.slice(1)}`);
}

// A reason as a sentence; a name such as `bind()` keeps its small letter.
function sentence(reason) {
  if (!reason) return "";
  const first = reason.trim().split(/\s/)[0].includes("(") ? reason[0] : reason[0].toUpperCase();
  return `${first}${reason.slice(1).replace(/\.+$/, "")}.`;
}

const toldOf = ({ account: [template], counts, why }) => [filled(template, counts), sentence(why)].filter(Boolean).join(" ");
