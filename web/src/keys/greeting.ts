import { type Bytes, same } from './bytes';
import type { Channel } from './channel';
import type { Peer } from './circle';
import type { Message, Proof, ProofKind } from './wire';

type Hello = Extract<Message, { type: 'hello' }>;

/** The longest pause between two greetings of somebody who is not known, in ticks. */
const LONGEST_PAUSE = 16;

/** Common secrets by which people of a room know each other at once. */
export type Secrets = Partial<Record<ProofKind, Uint8Array>>;

/**
 * Greetings: everybody says the key of today, and proves with a common secret that it is theirs. A proof names both keys, so one
 * that was recorded is worth nothing later.
 */
export class Greeting {
  private tick = 0;

  constructor(
    private readonly channel: Channel,
    private readonly secrets: Secrets,
    private readonly ready: (peer: Peer) => boolean,
    private readonly mismatch: (peer: Peer) => void,
  ) {}

  /** Takes one more secret, or another. */
  learn(kind: ProofKind, secret: Uint8Array): void {
    this.secrets[kind] = secret;
    for (const peer of this.channel.circle.around()) {
      peer.wrong = undefined;
      if (!peer.direct) this.greet(peer, true);
    }
  }

  /** Greets whoever has come, and after a while again those who are still not known. */
  step(tick: number): void {
    this.tick = tick;
    for (const peer of this.channel.circle.around()) {
      if (peer.greetedAt < 0) this.greet(peer, true);
      else if (!peer.settled && !peer.wrong && tick >= peer.greetedAt + peer.patience) {
        peer.patience = Math.min(peer.patience * 2, LONGEST_PAUSE);
        this.greet(peer, true);
      }
    }
  }

  /** Greets somebody once more, but only once in a tick. */
  again(peer: Peer): void {
    if (peer.greetedAt !== this.tick) this.greet(peer, true);
  }

  greet(peer: Peer, wants: boolean): void {
    const { self } = this.channel.circle;
    peer.greeted = peer.claim;
    peer.greetedAt = this.tick;
    this.channel.say(peer, {
      type: 'hello',
      key: self.key,
      echo: peer.claim,
      wants,
      ready: this.ready(peer),
      proofs: peer.claim ? this.proofs({ identity: peer.identity, key: peer.claim }) : [],
    });
  }

  hear(from: Peer, hello: Hello): void {
    const { self } = this.channel.circle;
    // Whoever sends one's own key back, or one that could hide nothing, has none.
    if (same(hello.key, self.key) || !self.pair({ identity: from.identity, key: hello.key })) return;
    if (!from.claim || !same(from.claim, hello.key)) from.patience = 1;
    from.claim = hello.key;
    from.ready = hello.ready;
    const knowsMe = hello.echo !== undefined && same(hello.echo, self.key);
    if (knowsMe && !from.direct) this.weigh(from, hello);
    const told = from.greeted !== undefined && same(from.greeted, hello.key);
    // One answer to a greeting a tick, so that two who never come to know each other do not greet without end.
    if (hello.wants && !(told && from.greetedAt === this.tick)) this.greet(from, !knowsMe);
  }

  private weigh(from: Peer, { key, proofs }: Hello): void {
    const party = { identity: from.identity, key };
    const weighed = proofs.flatMap(({ kind, tag }) => {
      const secret = this.secrets[kind];
      return secret ? [this.channel.circle.self.checks(tag, secret, kind, party)] : [];
    });
    if (weighed.includes(true)) {
      from.wrong = undefined;
      from.trust(key, 'secret');
    } else if (weighed.length > 0 && !from.settled && !(from.wrong && same(from.wrong, key))) {
      from.wrong = key;
      this.mismatch(from);
    }
  }

  private proofs(to: { identity: string; key: Bytes }): Proof[] {
    return Object.entries(this.secrets).map(([kind, secret]) => {
      return { kind: kind as ProofKind, tag: this.channel.circle.self.prove(secret, kind as ProofKind, to) };
    });
  }
}
