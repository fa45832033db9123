// How PostgreSQL lays out rows on a heap page (manual, "Database Page Layout").

const PAGE_HEADER = 24;
const LINE_POINTER = 4;
const TUPLE_HEADER = 23;

const ALIGNMENT = { c: 1, s: 2, i: 4, d: 8 };
const MAX_ALIGN = 8;

const align = (offset, to) => Math.ceil(offset / to) * to;

/** Bytes of one row without NULLs, and how many of its columns vary in size. `layout` is `4i,8d,-1i`: length and alignment. */
export function rowBytes(layout, textBytes) {
  let offset = align(TUPLE_HEADER, MAX_ALIGN);
  let varying = 0;
  for (const column of layout ? layout.split(',') : []) {
    const length = parseInt(column, 10);
    if (length < 0) {
      // A short value has a header of one byte and is not aligned.
      offset += textBytes + 1;
      varying += 1;
    } else {
      offset = align(offset, ALIGNMENT[column.at(-1)]) + length;
    }
  }
  return { bytes: align(offset, MAX_ALIGN), varying };
}

/** What a table's live rows need, in whole pages. */
export function expectedBytes({ live_rows: rows, fillfactor, block_size: page, layout }, textBytes) {
  const { bytes, varying } = rowBytes(layout, textBytes);
  const usable = ((page - PAGE_HEADER) * fillfactor) / 100;
  const perPage = Math.max(1, Math.floor(usable / (bytes + LINE_POINTER)));
  return { expected: Math.ceil(rows / perPage) * page, varying };
}
