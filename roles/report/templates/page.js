// SPDX-FileCopyrightText: Quorate contributors
// SPDX-License-Identifier: GPL-3.0-or-later
// The page is whole without this: it only filters long tables, and opens what is folded for the printer.
for (const box of document.querySelectorAll('[data-filter]')) {
  const rows = [...document.querySelectorAll(`#${box.dataset.filter} tbody tr`)];
  const words = rows.map((row) => row.textContent.toLowerCase());
  const input = box.querySelector('input');
  const status = box.querySelector('[role=status]');
  box.hidden = false;
  input.addEventListener('input', () => {
    const wanted = input.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !wanted.every((word) => words[index].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    status.textContent = input.value.trim() ? `${shown} of ${rows.length}` : '';
  });
}
let folded = [];
addEventListener('beforeprint', () => {
  folded = [...document.querySelectorAll('details:not([open])')];
  folded.forEach((each) => { each.open = true; });
});
addEventListener('afterprint', () => folded.forEach((each) => { each.open = false; }));
