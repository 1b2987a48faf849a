import { Encryption_Type, type Participant, type RemoteParticipant, type Room, RoomEvent } from 'livekit-client';
import { decodeName, encodeName } from '../names';
import { text } from '../ui/i18n';

const TOPIC = 'konsil.name';

/** Who is called what. Names travel as encrypted data messages; the server never has them. */
export class Nameplates {
  private readonly names = new Map<string, string>();
  private readonly numbers = new Map<string, number>();

  constructor(
    private readonly room: Room,
    private readonly own: string,
    private readonly changed: (identity: string) => void,
  ) {
    room
      .on(RoomEvent.Connected, () => this.tell())
      .on(RoomEvent.Reconnected, () => this.tell())
      .on(RoomEvent.ParticipantConnected, (participant) => this.tell(participant))
      .on(RoomEvent.ParticipantActive, (participant) => this.tell(participant))
      .on(RoomEvent.ParticipantDisconnected, ({ identity }) => this.names.delete(identity))
      .on(RoomEvent.DataReceived, (payload, sender, _kind, topic, encryption) => {
        if (topic === TOPIC && sender && encryption !== Encryption_Type.NONE) this.hear(sender, payload);
      });
  }

  nameOf(participant: Participant): string {
    if (participant.isLocal) return text('call.you', { name: this.own });
    return this.names.get(participant.identity) ?? (participant.name || this.numbered(participant.identity));
  }

  private hear(sender: RemoteParticipant, payload: Uint8Array): void {
    const name = decodeName(payload);
    if (!name) return;
    // Whoever introduces themselves may have joined before our own message could reach them.
    if (!this.names.has(sender.identity)) this.tell(sender);
    this.names.set(sender.identity, name);
    this.changed(sender.identity);
  }

  private tell(to?: Participant): void {
    if (!this.room.isE2EEEnabled || to?.isLocal) return;
    const options = { reliable: true, topic: TOPIC, destinationIdentities: to && [to.identity] };
    // A token may forbid data messages; the others then see "Guest".
    this.room.localParticipant.publishData(encodeName(this.own), options).catch(() => undefined);
  }

  private numbered(identity: string): string {
    const n = this.numbers.get(identity) ?? this.numbers.size + 1;
    this.numbers.set(identity, n);
    return text('call.guest', { n });
  }
}
