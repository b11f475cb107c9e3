/** `/docs`: the OpenAPI document as a page. */
import type { Call } from './call.ts';
import { escape, htmlPage } from './html.ts';
import { openapiDocument } from './openapi.ts';
import type { Operation } from './openapi.ts';

export function docsPage(call: Call): void {
  const document = openapiDocument(call.door.version);
  const byTag = new Map<string, string[]>();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (method === 'head') continue;
      const tag = operation.tags[0] ?? '';
      byTag.set(tag, [...(byTag.get(tag) ?? []), operationHtml(method, path, operation)]);
    }
  }
  const parts = [...byTag].map(([tag, rows]) => `<h2>${escape(tag)}</h2>${rows.join('')}`);
  const lead =
    `<p>${escape(document.info.description)}</p><p>Version ${escape(document.info.version)} · ` +
    '<a href="/openapi.json">openapi.json</a> · <a href="/errors">errors</a></p>';
  htmlPage(call, 'Holdfast over HTTP', lead + parts.join(''));
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const parameters = operation.parameters.map(
    ({ name, in: place, description }) =>
      `<tr><td><code>${escape(name)}</code></td><td>${place}</td>` +
      `<td>${escape(description)}</td></tr>`,
  );
  const answers = Object.entries(operation.responses).map(
    ([status, answer]) =>
      `<tr><td>${status}</td><td colspan="2">${escape(String(answer['description']))}</td></tr>`,
  );
  const doc = operation.description === undefined ? '' : `<p>${escape(operation.description)}</p>`;
  return (
    `<details id="${operation.operationId}"><summary>` +
    `<span class="method">${method.toUpperCase()}</span> <code>${escape(path)}</code> ` +
    `${escape(operation.summary)}</summary>${doc}` +
    `<table>${parameters.join('')}${answers.join('')}</table></details>`
  );
}
