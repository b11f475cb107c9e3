/** Just enough of the Redis protocol to ask a server a few commands without a client library. */
import { connect } from 'node:net';

export type Answer = string | number | null | Error | readonly Answer[];

const ASK_MS_MAX = 2000;

/**
 * The answers to the commands, in order, over a connection of its own; an error answer is given as
 * an Error. Rejects when they are not all there within two seconds.
 */
export function ask(
  port: number,
  password: string | undefined,
  ...commands: readonly (readonly string[])[]
): Promise<Answer[]> {
  const first = password === undefined ? [] : [['AUTH', password]];
  const sent = [...first, ...commands];
  return new Promise((done, failed) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const end = (finish: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      finish();
    };
    const fail = (why: string): void => end(() => failed(new Error(why)));
    const timer = setTimeout(() => fail(`no answer from port ${port}`), ASK_MS_MAX);
    socket.setEncoding('latin1');
    socket.on('error', (error) => fail(String(error)));
    socket.on('close', () => fail(`port ${port} closed the connection`));
    socket.on('data', (chunk: Buffer | string) => {
      text += String(chunk);
      const answers = answersOf(text);
      if (answers.length >= sent.length) end(() => done(answers.slice(first.length)));
    });
    socket.write(sent.map(commandOf).join(''));
  });
}

function commandOf(words: readonly string[]): string {
  const bulks = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${bulks.join('')}`;
}

/** Every answer that is whole. */
function answersOf(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; ;) {
    const found = answerAt(text, at);
    if (found === null) return answers;
    answers.push(found.answer);
    at = found.end;
  }
}

function answerAt(text: string, at: number): { answer: Answer; end: number } | null {
  const lineEnd = text.indexOf('\r\n', at);
  if (lineEnd < 0) return null;
  const rest = text.slice(at + 1, lineEnd);
  let end = lineEnd + 2;
  switch (text[at]) {
    case '-':
      return { answer: new Error(rest), end };
    case ':':
      return { answer: Number(rest), end };
    case '$': {
      if (rest === '-1') return { answer: null, end };
      const after = end + Number(rest);
      return text.length < after + 2 ? null : { answer: text.slice(end, after), end: after + 2 };
    }
    case '*': {
      const list: Answer[] = [];
      for (let left = Number(rest); left > 0; left -= 1) {
        const item = answerAt(text, end);
        if (item === null) return null;
        list.push(item.answer);
        end = item.end;
      }
      return { answer: list, end };
    }
    default:
      return { answer: rest, end };
  }
}
