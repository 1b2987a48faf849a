import { type Participant, type Room, RoomEvent } from 'livekit-client';
import { decodeName, encodeName } from '../names';
import { text } from '../ui/i18n';

const TOPIC = 'konsil.name';

/** Who is called what. Names travel as encrypted data messages; the server never has them. */
export class Nameplates {
  private readonly names = new Map<string, string>();
  private readonly greeted = new Set<string>();
  private readonly numbers = new Map<string, number>();

  constructor(
    private readonly room: Room,
    private readonly own: string,
    private readonly changed: (identity: string) => void,
    /** What the desk knows: a data message that comes while keys change is lost, and not said again. */
    private readonly known: (identity: string) => string | undefined = () => undefined,
  ) {
    room
      .on(RoomEvent.Reconnected, () => this.tell())
      .on(RoomEvent.ParticipantConnected, ({ identity }) => this.tell(identity))
      .on(RoomEvent.ParticipantActive, ({ identity }) => this.tell(identity))
      // The name stays, since a full reconnect makes everyone leave and come again.
      .on(RoomEvent.ParticipantDisconnected, ({ identity }) => this.greeted.delete(identity))
      // By identity: a name may overtake the news that its owner has joined.
      .on(RoomEvent.DataReceived, (payload, _sender, _kind, topic, _encryption, identity) => {
        if (topic === TOPIC && identity) this.hear(identity, payload);
      });
  }

  /** Tells everyone the own name, once encryption is confirmed. */
  introduce(): void {
    this.tell();
  }

  nameOf(participant: Participant): string {
    if (participant.isLocal) return text('call.you', { name: this.own });
    const { identity, name } = participant;
    return this.names.get(identity) ?? this.known(identity) ?? (name || this.numbered(identity));
  }

  private hear(identity: string, payload: Uint8Array): void {
    const name = decodeName(payload);
    if (!name) return;
    // Whoever introduces themselves may have joined before our own message could reach them.
    if (!this.greeted.has(identity)) this.tell(identity);
    this.greeted.add(identity);
    this.names.set(identity, name);
    this.changed(identity);
  }

  private tell(to?: string): void {
    const me = this.room.localParticipant;
    if (!this.room.isE2EEEnabled || to === me.identity) return;
    const options = {
      reliable: true,
      topic: TOPIC,
      destinationIdentities: to === undefined ? undefined : [to],
    };
    // A token may forbid data messages; the others then see "Guest".
    me.publishData(encodeName(this.own), options).catch(() => undefined);
  }

  private numbered(identity: string): string {
    const n = this.numbers.get(identity) ?? this.numbers.size + 1;
    this.numbers.set(identity, n);
    return text('call.guest', { n });
  }
}
