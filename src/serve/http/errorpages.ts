/** `/errors`: what each code means and what to do about it; the `type` of a problem points here. */
import { CATALOGUE, Fault } from '../../kernel/errors.ts';
import type { ErrorCode } from '../../kernel/errors.ts';
import type { Asked, Call } from './call.ts';
import { escape, htmlPage, wantsHtml } from './html.ts';

const CODES = Object.keys(CATALOGUE) as ErrorCode[];

function shown(code: ErrorCode): Record<string, unknown> {
  return { type: `/errors/${code}`, code, ...CATALOGUE[code] };
}

export function errorsPage(call: Call): void {
  if (!wantsHtml(call.req.headers.accept)) {
    call.json({ items: CODES.map(shown), next: null }, 200, ['Vary', 'Accept']);
    return;
  }
  const rows = CODES.map((code) => {
    const { status, title } = CATALOGUE[code];
    const link = `<a href="/errors/${code}"><code>${code}</code></a>`;
    return `<tr><td>${link}</td><td>${status}</td><td>${escape(title)}</td></tr>`;
  });
  const head = '<tr><th>Code</th><th>Status</th><th>Title</th></tr>';
  htmlPage(call, 'Errors', `<table>${head}${rows.join('')}</table>`);
}

export function errorPage(call: Call, asked: Asked): void {
  const code = asked.params['code'] ?? '';
  if (!Object.hasOwn(CATALOGUE, code)) throw new Fault('not-found', 'No error has this code.');
  if (!wantsHtml(call.req.headers.accept)) {
    call.json(shown(code as ErrorCode), 200, ['Vary', 'Accept']);
    return;
  }
  const { status, title, hint, retry } = CATALOGUE[code as ErrorCode];
  const again = retry
    ? 'The same request can succeed later.'
    : 'The same request, unchanged, cannot succeed later.';
  htmlPage(
    call,
    code,
    `<p><strong>${escape(title)}.</strong></p><p>Status ${status}. ${again}</p>` +
      `<p>${escape(hint)}</p><p><a href="/errors">All errors</a></p>`,
  );
}
