// Which words of a text are still those that were heard, so that doubtful ones stay marked while somebody corrects.

export function trust(confidence) {
  return confidence >= 0.85 ? "high" : confidence >= 0.6 ? "fair" : "low";
}

// The text in pieces [string, trust or null]; joined they are the text again. `words`: [[word, start_s, end_s, confidence]].
export function marked(text, words) {
  const pieces = text.split(/(\s+)/);
  const kept = aligned(pieces.filter(isWord), words.map(([word]) => word));
  let place = 0;
  return pieces.filter(Boolean).map((piece) => {
    if (!isWord(piece)) return [piece, null];
    const heard = kept[place++];
    return [piece, heard === null ? null : trust(words[heard][3])];
  });
}

function isWord(piece) {
  return /\S/.test(piece);
}

// For each word its partner among the heard ones or null: a longest common subsequence.
function aligned(words, heard) {
  const same = words.map((word) => heard.map((other) => word.toLowerCase() === other.toLowerCase()));
  const longest = Array.from({ length: words.length + 1 }, () => new Uint16Array(heard.length + 1));
  for (let i = words.length - 1; i >= 0; i--) {
    for (let j = heard.length - 1; j >= 0; j--) {
      longest[i][j] = same[i][j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  let j = 0;
  return words.map((_, i) => {
    while (j < heard.length && !same[i][j] && longest[i][j + 1] >= longest[i + 1][j]) j++;
    return j < heard.length && same[i][j] ? j++ : null;
  });
}
