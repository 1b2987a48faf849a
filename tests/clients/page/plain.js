// A page of plain livekit-client: as an application would write it, and nothing of Konsil.

const LK = window.LivekitClient;
window.events = [];
window.data = [];

const text = (bytes) => new TextDecoder().decode(bytes);
const SMALL = { width: 640, height: 360, frameRate: 15 };

/** Makes the room and notes what it says. */
async function makeRoom({ layout, key, size = SMALL, publish = {}, dynacast = false }) {
  const options = {
    adaptiveStream: false,
    dynacast,
    singlePeerConnection: layout === 'single',
    videoCaptureDefaults: { resolution: size },
    publishDefaults: { backupCodec: false, ...publish },
  };
  if (key) {
    const keyProvider = new LK.ExternalE2EEKeyProvider();
    options.encryption = { keyProvider, worker: new Worker('/e2ee-worker.js') };
    await keyProvider.setKey(key);
  }
  const room = new LK.Room(options);
  window.room = room;
  for (const name of Object.values(LK.RoomEvent)) {
    room.on(name, (...parts) => window.events.push({ name, about: parts.map(describe).filter(Boolean) }));
  }
  room.once(LK.RoomEvent.Connected, () => {
    // In the two seconds before it livekit-client 2.23 loses events, those of tracks among them (livekit/client-sdk-js#2074).
    room.engine.on(LK.EngineEvent.Restarted, () => attachAll(room));
    for (const name of [LK.EngineEvent.Resumed, LK.EngineEvent.Restarted, LK.EngineEvent.SignalRequestResponse]) {
      room.engine.on(name, (part) => window.events.push({ name, about: [describe(part)] }));
    }
  });
  room.on('dataReceived', (payload, sender, kind, topic) =>
    window.data.push({ text: text(payload), from: sender?.identity, reliable: kind === 0, topic }),
  );
  room.on('trackSubscribed', (track) => document.body.append(track.attach()));
  room.on('trackUnsubscribed', (track) => track.detach().forEach((element) => element.remove()));
  return room;
}

function attachAll(room) {
  for (const { trackPublications } of room.remoteParticipants.values()) {
    for (const { track } of trackPublications.values()) {
      if (track?.attachedElements.length === 0) document.body.append(track.attach());
    }
  }
}

function describe(part) {
  if (Array.isArray(part)) return part.map(describe).join(' ');
  if (typeof part === 'object' && part !== null) return part.identity ?? part.source ?? `${part.reason}`;
  return part === undefined ? undefined : String(part);
}

const WAYS = {
  udp: (url) => url.includes('transport=udp'),
  tcp: (url) => url.startsWith('turn:') && url.includes('transport=tcp'),
  tls: (url) => url.startsWith('turns:'),
};

/** From now on PeerConnections go through the relay only, by one of its ways; `servers` stand in for those of the join. */
function onlyThroughRelay(way, servers) {
  const narrow = (config = {}) => ({
    ...config,
    iceTransportPolicy: 'relay',
    iceServers: (servers ?? config.iceServers ?? [])
      .map((server) => ({ ...server, urls: [server.urls].flat().filter(WAYS[way]) }))
      .filter((server) => server.urls.length > 0),
  });
  const Direct = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Direct {
    constructor(config) {
      super(narrow(config));
    }
    setConfiguration(config) {
      super.setConfiguration(narrow(config));
    }
  };
}

/** The pairs of candidates in use: of which type and protocol they are on this side. */
window.pairs = async () => {
  const { publisher, subscriber } = window.room.engine.pcManager;
  const pairs = [];
  for (const transport of [publisher, subscriber]) {
    const report = await transport?.getStats();
    report?.forEach((part) => {
      if (part.type !== 'transport' || !part.selectedCandidatePairId) return;
      const pair = report.get(part.selectedCandidatePairId);
      const { candidateType, relayProtocol, protocol } = report.get(pair.localCandidateId);
      pairs.push({ candidateType, relayProtocol, protocol });
    });
  }
  return pairs;
};

/** Joins; with `audio` and `video` it publishes too. With `relay` (udp, tcp, tls) media go through the relay only. */
window.enter = async ({ url, token, audio, video, relay, servers, autoSubscribe = true, ...rest }) => {
  if (relay) onlyThroughRelay(relay, servers);
  const room = await makeRoom(rest);
  if (rest.key) await room.setE2EEEnabled(true);
  await room.connect(url, token, { autoSubscribe });
  if (rest.key && !room.isE2EEEnabled) {
    await new Promise((resolve) => room.once('participantEncryptionStatusChanged', resolve));
  }
  if (audio && video) await room.localParticipant.enableCameraAndMicrophone();
  else if (audio) await room.localParticipant.setMicrophoneEnabled(true);
  else if (video) await room.localParticipant.setCameraEnabled(true);
};

window.say = (words, options) => window.room.localParticipant.publishData(new TextEncoder().encode(words), options);

/** Publishes a tone that does not pause, as the fake microphone's beeps do. */
window.hum = async () => {
  const context = new AudioContext();
  const tone = context.createOscillator();
  const out = context.createMediaStreamDestination();
  tone.connect(out);
  tone.start();
  await window.room.localParticipant.publishTrack(out.stream.getAudioTracks()[0], { source: 'microphone', dtx: false });
};
