import { type Bytes, random } from './bytes';
import type { Circle, Peer } from './circle';
import type { Desk } from './desk';
import { open, seal } from './seal';
import { nameOf } from './self';
import { type Inner, type Message, SALT, readInner, writeInner, writeMessage } from './wire';

/** What one says to others: in the open, or for their eyes only. */
export class Channel {
  private readonly name: Bytes;

  constructor(
    private readonly desk: Desk,
    readonly circle: Circle,
  ) {
    this.name = nameOf(circle.self.identity);
  }

  say({ identity }: Pick<Peer, 'identity'>, message: Message): void {
    this.desk.send(identity, writeMessage(message));
  }

  /** Says something that nobody but the holder of the key that is known to be theirs can read, or can have said. */
  async whisper(to: Peer, inner: Inner): Promise<void> {
    const pair = this.pair(to);
    if (!pair) return;
    const salt = random(SALT);
    this.say(to, { type: 'sealed', salt, text: await seal(writeInner(inner), pair, 'konsil whisper', salt, this.name) });
  }

  /** What somebody whose key is known has whispered. */
  async hear(from: Peer, { salt, text }: Extract<Message, { type: 'sealed' }>): Promise<Inner | undefined> {
    const pair = this.pair(from);
    const opened = pair && (await open(text, pair, 'konsil whisper', salt, from.name));
    return opened && readInner(opened);
  }

  private pair({ identity, trusted: key }: Peer): Bytes | undefined {
    return key && this.circle.self.pair({ identity, key });
  }
}
