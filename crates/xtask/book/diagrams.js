// Draws the Mermaid diagrams of a page in the colors of the chosen theme. Pages without a diagram load nothing.
(() => {
  const diagrams = Array.from(document.querySelectorAll('pre.mermaid'), (source) => {
    const figure = document.createElement('div');
    figure.className = 'diagram';
    return { source, figure, text: source.textContent };
  });
  if (diagrams.length === 0) return;

  const root = document.documentElement;
  const theme = () => (['ayu', 'coal', 'navy'].some((name) => root.classList.contains(name)) ? 'dark' : 'default');

  // Small gaps, so that the text stays readable on a phone.
  const compact = { nodeSpacing: 24, rankSpacing: 36, padding: 10, wrappingWidth: 300 };

  let drawn;
  const draw = async () => {
    if (drawn === theme()) return;
    drawn = theme();
    mermaid.initialize({ startOnLoad: false, theme: drawn, flowchart: compact });
    for (const [index, { source, figure, text }] of diagrams.entries()) {
      figure.innerHTML = (await mermaid.render(`diagram-${index}`, text)).svg;
      // From the second time on, the source is no longer on the page, and this does nothing.
      source.replaceWith(figure);
    }
  };

  // The library is large, so it is a file of its own next to the pages. `path_to_root` comes from mdBook.
  const library = document.createElement('script');
  library.src = `${path_to_root}mermaid.min.js`;
  library.onload = () => {
    draw();
    new MutationObserver(draw).observe(root, { attributeFilter: ['class'] });
  };
  document.head.append(library);
})();
