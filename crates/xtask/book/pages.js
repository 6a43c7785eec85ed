// Makes pages easier to use: separates commands from their output, labels the cells of tables for narrow screens, shows pictures
// in the colors of the chosen theme, and lists runbooks first among the results of a search. Without this script, every page is
// still complete.
(() => {
  // A line of a console block is typed if it begins with a prompt or continues such a line. The prompt becomes a decoration,
  // so nobody copies it.
  const divide = (code) => {
    const lines = code.textContent.replace(/\n$/, '').split('\n');
    let continues = false;
    const spans = lines.map((line) => {
      const begins = line.startsWith('$ ');
      const span = document.createElement('span');
      span.className = begins ? 'typed prompt' : continues ? 'typed' : 'printed';
      span.textContent = `${begins ? line.slice(2) : line}\n`;
      continues = (begins || continues) && /(\\|&&)$/.test(line);
      return span;
    });
    code.replaceChildren(...spans);
    code.closest('pre').classList.add(spans.some((span) => span.className !== 'printed') ? 'session' : 'output');
  };
  document.querySelectorAll('code.language-console').forEach(divide);
  document.querySelectorAll('code.language-sh').forEach((code) => code.closest('pre').classList.add('commands'));

  // The copy button of mdBook copies the visible text of a block: hide the output for that moment.
  document.addEventListener(
    'click',
    ({ target }) => {
      const block = target.closest('.clip-button')?.closest('pre.session');
      block?.classList.add('copying');
      setTimeout(() => block?.classList.remove('copying'));
    },
    true,
  );

  // On a narrow screen each row becomes a list, whose items are named after the columns.
  for (const table of document.querySelectorAll('.content table')) {
    const titles = Array.from(table.querySelectorAll('thead th'), (title) => title.textContent);
    if (titles.length < 3) continue;
    table.classList.add('stacks');
    for (const row of table.querySelectorAll('tbody tr')) {
      Array.from(row.cells, (cell, index) => cell.setAttribute('data-title', titles[index]));
    }
  }

  // Someone who searches for a symptom needs the runbook. Its title contains the symptom, and its first section comes first.
  const index = window.elasticlunr?.Index.prototype;
  const search = index?.search;
  if (search) {
    index.search = function (query, options) {
      const words = query.toLowerCase().split(/\W+/).filter(Boolean);
      const rank = ({ ref }) => {
        const [page, section] = this.documentStore.getDoc(ref).breadcrumbs.split(' » ');
        const isRunbook = page.startsWith('SecretRotation') && words.every((word) => page.toLowerCase().includes(word));
        if (!isRunbook) return 0;
        // The shorter title fits better: SecretRotationStuck comes before SecretRotationStuckTooLong.
        return (page.startsWith(`${section}:`) ? 2 : 1) + 1 / page.length;
      };
      // The order of results with the same rank stays.
      return search.call(this, query, options).sort((a, b) => rank(b) - rank(a));
    };
  }

  // A picture follows the theme of the page instead of that of the system.
  const root = document.documentElement;
  const sources = document.querySelectorAll('picture source[media*="dark"]');
  const choose = () => {
    const dark = ['ayu', 'coal', 'navy'].some((name) => root.classList.contains(name));
    sources.forEach((source) => source.setAttribute('media', dark ? 'all' : 'not all'));
  };
  if (sources.length > 0) {
    choose();
    new MutationObserver(choose).observe(root, { attributeFilter: ['class'] });
  }
})();
