/** Content types: which bodies a flow takes, and how to tell JSON. */
import { Fault } from '../../kernel/errors.ts';

const ESSENCE = /^[a-z0-9!#$%&'*+.^_`|~-]+\/[a-z0-9!#$%&'*+.^_`|~-]+$/;

interface Media {
  /** `type/subtype`, lower case. */
  readonly essence: string;
  /** Lower case; null when the header names none. */
  readonly charset: string | null;
}

/** Null when the text is no media type. */
export function mediaOf(text: string): Media | null {
  const parts = text.split(';');
  const essence = (parts[0] ?? '').trim().toLowerCase();
  if (!ESSENCE.test(essence)) return null;
  let charset: string | null = null;
  for (const part of parts.slice(1)) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(equals, 0)).trim().toLowerCase();
    if (name !== 'charset') continue;
    charset = part
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase();
  }
  return { essence, charset };
}

export function isJson(mediaType: string): boolean {
  if (mediaType === 'application/json') return true;
  const essence = mediaOf(mediaType)?.essence ?? '';
  return essence === 'application/json' || essence.endsWith('+json');
}

/**
 * Throws `unsupported-media-type` unless a body labelled `header` (undefined: unlabelled) fits a
 * flow of `mediaType`: any JSON type in UTF-8 for a JSON flow, its own type for any other.
 */
export function checkMedia(mediaType: string, header: string | undefined): void {
  if (header === undefined || header === mediaType) return;
  const json = isJson(mediaType);
  const media = mediaOf(header);
  if (json && media !== null && isJson(media.essence)) return checkCharset(media);
  if (!json && media !== null && media.essence === mediaOf(mediaType)?.essence) return;
  const takes = json ? 'application/json or a type ending in +json' : mediaType;
  throw new Fault('unsupported-media-type', `this flow takes ${takes}`);
}

/** For POSTed records: JSON only, and not one of the envelopes that would have to be opened. */
export function checkRecordMedia(header: string | undefined, cloudEvent: boolean): void {
  const media = header === undefined ? null : mediaOf(header);
  const essence = media?.essence ?? '';
  if (cloudEvent || essence.startsWith('application/cloudevents')) {
    throw new Fault(
      'unsupported-media-type',
      'CloudEvents are not taken by this version: send the record itself as application/json',
    );
  }
  if (essence === 'multipart/form-data') {
    throw new Fault(
      'unsupported-media-type',
      'multipart bodies are not taken by this version: send the record as application/json',
    );
  }
  if (header === undefined) return;
  if (media === null || !isJson(essence)) {
    throw new Fault(
      'unsupported-media-type',
      'a record is sent as application/json or a type ending in +json',
    );
  }
  checkCharset(media);
}

function checkCharset(media: Media): void {
  if (media.charset === null || media.charset === 'utf-8') return;
  throw new Fault('unsupported-media-type', 'JSON is sent in UTF-8; no other charset is taken');
}
