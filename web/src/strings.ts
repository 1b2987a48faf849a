export type Lang = 'de' | 'en';

export const strings = {
  'app.tagline': { de: 'Videosprechstunde', en: 'Video consultation' },
  'app.switch': { de: 'English', en: 'Deutsch' },
  'app.switchLabel': { de: 'Switch to English', en: 'Auf Deutsch umschalten' },
  'app.skip': { de: 'Zum Inhalt springen', en: 'Skip to content' },

  'start.title': { de: 'Willkommen zur Videosprechstunde', en: 'Welcome to your video consultation' },
  'start.what': {
    de: 'Hier sprechen Sie per Video mit Ihrer Praxis oder Klinik. Sie brauchen kein Konto und keine App, nur den Link aus Ihrer Einladung.',
    en: 'Talk to your practice or hospital by video. You need no account and no app, only the link from your invitation.',
  },
  'start.link': { de: 'Link aus Ihrer Einladung', en: 'Link from your invitation' },
  'start.linkHint': {
    de: 'Kopieren Sie den vollständigen Link, einschließlich aller Zeichen nach dem #.',
    en: 'Copy the whole link, including everything after the #.',
  },
  'start.go': { de: 'Weiter', en: 'Continue' },
  'start.badLink': {
    de: 'Das ist kein Einladungslink dieses Servers. Bitte prüfen Sie, ob Sie ihn vollständig kopiert haben.',
    en: 'This is not an invitation link of this server. Please check that you copied all of it.',
  },
  'start.checks': { de: 'Ist Ihr Gerät bereit?', en: 'Is your device ready?' },
  'start.privacy': {
    de: 'Bild, Ton und Namen sind zwischen den Teilnehmenden Ende-zu-Ende verschlüsselt. Nichts wird aufgezeichnet.',
    en: 'Picture, sound and names are end-to-end encrypted between the participants. Nothing is recorded.',
  },
  'check.ok': { de: 'In Ordnung:', en: 'All right:' },
  'check.bad': { de: 'Problem:', en: 'Problem:' },
  'check.wait': { de: 'Wird geprüft:', en: 'Checking:' },
  'check.server': { de: 'Verbindung zum Server', en: 'Connection to the server' },
  'check.serverBad': {
    de: 'Der Server antwortet nicht. Bitte prüfen Sie Ihre Internetverbindung.',
    en: 'The server does not answer. Please check your internet connection.',
  },
  'check.browser': { de: 'Ihr Browser kann Videogespräche', en: 'Your browser can do video calls' },
  'check.browserBad': {
    de: 'Ihr Browser kann keine Videogespräche. Bitte nutzen Sie einen aktuellen Browser.',
    en: 'Your browser cannot do video calls. Please use an up-to-date browser.',
  },
  'check.crypto': { de: 'Ende-zu-Ende-Verschlüsselung', en: 'End-to-end encryption' },
  'check.cryptoBad': {
    de: 'Ihr Browser kann nicht Ende-zu-Ende verschlüsseln. Bitte aktualisieren Sie ihn.',
    en: 'Your browser cannot encrypt end to end. Please update it.',
  },
  'check.camera': { de: 'Kamera gefunden', en: 'Camera found' },
  'check.cameraBad': {
    de: 'Keine Kamera gefunden. Sie können nur mit Ton teilnehmen.',
    en: 'No camera found. You can join with sound only.',
  },
  'check.microphone': { de: 'Mikrofon gefunden', en: 'Microphone found' },
  'check.microphoneBad': {
    de: 'Kein Mikrofon gefunden. Man wird Sie nicht hören.',
    en: 'No microphone found. Nobody will hear you.',
  },

  'probe.title': { de: 'Ihre Verbindung', en: 'Your connection' },
  'probe.hint': {
    de: 'Der Test schickt für einige Sekunden Datenpakete über den Server zu Ihnen zurück. Niemand im Raum merkt davon etwas.',
    en: 'The test sends packets through the server back to you for a few seconds. Nobody in the room notices.',
  },
  'probe.go': { de: 'Verbindung testen', en: 'Test the connection' },
  'probe.again': { de: 'Noch einmal testen', en: 'Test again' },
  'probe.https': { de: 'Der Server {host} antwortet.', en: 'The server {host} answers.' },
  'probe.httpsBad': {
    de: 'Der Server {host} antwortet nicht. Bitte prüfen Sie Ihre Internetverbindung.',
    en: 'The server {host} does not answer. Please check your internet connection.',
  },
  'probe.webSocketName': { de: 'Dauerhafte Verbindung (WebSocket)', en: 'Lasting connection (WebSocket)' },
  'probe.webSocket': { de: 'Dauerhafte Verbindungen (WebSocket) funktionieren.', en: 'Lasting connections (WebSocket) work.' },
  'probe.webSocketBad': {
    de: 'Ein Proxy oder eine Firewall lässt keine WebSockets durch. Bitten Sie Ihre IT, {host} ohne Inspektion durchzulassen.',
    en: 'A proxy or firewall lets no WebSockets through. Ask your IT to let {host} through without inspection.',
  },
  'probe.udpName': { de: 'Bild und Ton über UDP', en: 'Picture and sound over UDP' },
  'probe.udp': { de: 'Bild und Ton kommen über UDP durch, den besten Weg.', en: 'Picture and sound get through over UDP, the best way.' },
  'probe.udpBad': {
    de: 'UDP ist gesperrt; Gespräche gehen über TCP, mit mehr Verzögerung. Die Regel für Ihre IT: {rule} nach {host} hinauslassen.',
    en: 'UDP is blocked; calls go over TCP, with more delay. The rule for your IT: let {rule} out to {host}.',
  },
  'probe.tcpName': { de: 'Bild und Ton über TCP', en: 'Picture and sound over TCP' },
  'probe.tcp': { de: 'Bild und Ton kommen über TCP durch.', en: 'Picture and sound get through over TCP.' },
  'probe.tcpBad': {
    de: 'TCP ohne TLS wird gefiltert ({rule} nach {host}). Wo TLS funktioniert, geht es ohne.',
    en: 'TCP without TLS is filtered ({rule} to {host}). Calls do without it where TLS works.',
  },
  'probe.tlsName': { de: 'Bild und Ton über TLS', en: 'Picture and sound over TLS' },
  'probe.tls': { de: 'Bild und Ton kommen über TLS durch.', en: 'Picture and sound get through over TLS.' },
  'probe.tlsBad': {
    de: 'Bild und Ton kommen nicht über TLS durch. Die Regel für Ihre IT: {rule} nach {host} hinauslassen, ohne Inspektion. Ein selbst ausgestelltes Zertifikat kann auch der Grund sein.',
    en: 'Picture and sound do not get through over TLS. The rule for your IT: let {rule} out to {host}, without inspection. A self-signed certificate can be the cause as well.',
  },
  'probe.loopName': { de: 'Pakete hin und zurück', en: 'Packets there and back' },
  'probe.loop': {
    de: '{lost} von {sent} Paketen gingen verloren, hin und zurück in {ms} ms.',
    en: '{lost} of {sent} packets were lost, there and back in {ms} ms.',
  },
  'probe.loopPoor': {
    de: '{lost} von {sent} Paketen gingen verloren, hin und zurück in {ms} ms: Bild und Ton werden stocken.',
    en: '{lost} of {sent} packets were lost, there and back in {ms} ms: picture and sound will stutter.',
  },
  'probe.loopBad': { de: 'Über den Server kamen keine Pakete zurück.', en: 'No packets came back through the server.' },

  'link.incompleteTitle': { de: 'Der Link ist unvollständig', en: 'The link is incomplete' },
  'link.noToken': {
    de: 'In Ihrem Link fehlt die Zugangsberechtigung. Bitte öffnen Sie den vollständigen Link aus Ihrer Einladung oder bitten Sie um einen neuen.',
    en: 'Your link lacks the permission to join. Please open the complete link from your invitation, or ask for a new one.',
  },
  'link.noKey': {
    de: 'In Ihrem Link fehlt der Schlüssel für die Verschlüsselung (der Teil nach „k=“). Bitte öffnen Sie den vollständigen Link aus Ihrer Einladung oder bitten Sie um einen neuen.',
    en: 'Your link lacks the encryption key (the part after “k=”). Please open the complete link from your invitation, or ask for a new one.',
  },
  'link.toStart': { de: 'Zur Startseite', en: 'To the start page' },
  'unsupported.title': { de: 'Dieser Browser reicht leider nicht', en: 'This browser is not enough' },
  'notFound.title': { de: 'Diese Seite gibt es nicht', en: 'There is no such page' },

  'setup.title': { de: 'Bereit für das Gespräch?', en: 'Ready for the call?' },
  'setup.asking': {
    de: 'Ihr Browser fragt jetzt nach Kamera und Mikrofon. Bitte erlauben Sie den Zugriff.',
    en: 'Your browser now asks for camera and microphone. Please allow access.',
  },
  'setup.name': { de: 'Ihr Name', en: 'Your name' },
  'setup.nameHint': {
    de: 'Nur die anderen im Gespräch sehen ihn, der Server nicht.',
    en: 'Only the others in the call see it, the server does not.',
  },
  'setup.join': { de: 'Am Gespräch teilnehmen', en: 'Join the call' },
  'setup.joinAudio': { de: 'Nur mit Ton teilnehmen', en: 'Join with sound only' },
  'setup.joinVideo': { de: 'Ohne Mikrofon teilnehmen', en: 'Join without microphone' },
  'setup.joinBare': { de: 'Ohne Kamera und Mikrofon teilnehmen', en: 'Join without camera and microphone' },
  'setup.preview': { de: 'Vorschau Ihrer Kamera', en: 'Preview of your camera' },
  'setup.cameraOff': { de: 'Kamera ist aus', en: 'Camera is off' },
  'setup.level': { de: 'Lautstärke Ihres Mikrofons', en: 'Level of your microphone' },
  'setup.levelAsleep': {
    de: 'Tippen oder klicken Sie auf die Seite, um Ihren Mikrofonpegel zu sehen.',
    en: 'Tap or click the page to see the level of your microphone.',
  },
  'setup.testSound': { de: 'Lautsprecher testen', en: 'Test speaker' },
  'setup.retry': { de: 'Erneut versuchen', en: 'Try again' },
  'setup.listenOnly': {
    de: 'Mit diesem Link nehmen Sie ohne eigenes Bild und ohne eigenen Ton teil.',
    en: 'With this link you take part without picture and sound of your own.',
  },

  'device.camera': { de: 'Kamera', en: 'Camera' },
  'device.microphone': { de: 'Mikrofon', en: 'Microphone' },
  'device.speaker': { de: 'Lautsprecher', en: 'Speaker' },
  'device.none': { de: 'Keine gefunden', en: 'None found' },
  'device.default': { de: 'Standard', en: 'Default' },
  'device.unnamed': { de: 'Gerät {n}', en: 'Device {n}' },
  'device.title': { de: 'Geräte', en: 'Devices' },

  'media.camera.denied': {
    de: 'Die Kamera ist nicht erlaubt. Erlauben Sie sie über das Symbol in der Adresszeile, oder nehmen Sie ohne Bild teil.',
    en: 'The camera is not allowed. Allow it by the icon in the address bar, or join without picture.',
  },
  'media.camera.missing': {
    de: 'Es wurde keine Kamera gefunden. Sie können ohne Bild teilnehmen.',
    en: 'No camera was found. You can join without picture.',
  },
  'media.camera.busy': {
    de: 'Die Kamera wird von einem anderen Programm benutzt. Schließen Sie es und versuchen Sie es erneut.',
    en: 'The camera is used by another program. Close it and try again.',
  },
  'media.camera.failed': { de: 'Die Kamera lässt sich nicht starten.', en: 'The camera cannot be started.' },
  'media.microphone.denied': {
    de: 'Das Mikrofon ist nicht erlaubt. Erlauben Sie es über das Symbol in der Adresszeile, sonst hört man Sie nicht.',
    en: 'The microphone is not allowed. Allow it by the icon in the address bar, or nobody will hear you.',
  },
  'media.microphone.missing': {
    de: 'Es wurde kein Mikrofon gefunden. Man wird Sie nicht hören.',
    en: 'No microphone was found. Nobody will hear you.',
  },
  'media.microphone.busy': {
    de: 'Das Mikrofon wird von einem anderen Programm benutzt. Schließen Sie es und versuchen Sie es erneut.',
    en: 'The microphone is used by another program. Close it and try again.',
  },
  'media.microphone.failed': {
    de: 'Das Mikrofon lässt sich nicht starten.',
    en: 'The microphone cannot be started.',
  },
  'media.screen.failed': {
    de: 'Der Bildschirm lässt sich nicht teilen.',
    en: 'The screen cannot be shared.',
  },

  'call.title': { de: 'Gespräch', en: 'Call' },
  'call.people': { de: 'Teilnehmende', en: 'Participants' },
  'call.controls': { de: 'Bedienung', en: 'Controls' },
  'call.alone': {
    de: 'Sie sind als Erste oder Erster hier. Bitte bleiben Sie auf dieser Seite.',
    en: 'You are the first one here. Please stay on this page.',
  },
  'call.guest': { de: 'Gast {n}', en: 'Guest {n}' },
  'call.you': { de: '{name} (Sie)', en: '{name} (you)' },
  'call.screenOf': { de: 'Bildschirm von {name}', en: 'Screen of {name}' },
  'call.muted': { de: 'Mikrofon aus', en: 'Microphone off' },
  'call.weak': { de: 'Schwache Verbindung', en: 'Weak connection' },
  'call.paused': {
    de: 'Ihre Verbindung reicht gerade nicht für das Bild. Der Ton läuft weiter.',
    en: 'Your connection is too slow for the picture just now. Sound goes on.',
  },
  'call.tryAgain': { de: 'Erneut versuchen', en: 'Try again' },
  'call.plain': {
    de: 'Nicht verschlüsselt, daher nicht gezeigt',
    en: 'Not encrypted, therefore not shown',
  },
  'call.undecipherable': {
    de: 'Bild oder Ton lässt sich nicht entschlüsseln. Haben alle denselben vollständigen Link geöffnet?',
    en: 'Picture or sound cannot be decrypted. Did everyone open the same complete link?',
  },
  'call.enableSound': { de: 'Ton einschalten', en: 'Turn sound on' },
  'call.micOff': { de: 'Mikrofon ausschalten', en: 'Turn microphone off' },
  'call.micOn': { de: 'Mikrofon einschalten', en: 'Turn microphone on' },
  'call.camOff': { de: 'Kamera ausschalten', en: 'Turn camera off' },
  'call.camOn': { de: 'Kamera einschalten', en: 'Turn camera on' },
  'call.share': { de: 'Bildschirm teilen', en: 'Share screen' },
  'call.unshare': { de: 'Teilen beenden', en: 'Stop sharing' },
  'call.invite': { de: 'Einladen', en: 'Invite' },
  'call.devices': { de: 'Geräte', en: 'Devices' },
  'call.leave': { de: 'Verlassen', en: 'Leave' },

  'safety.title': { de: 'Sicherheitscode', en: 'Safety code' },
  'safety.hint': {
    de: 'Lesen Sie sich den Code gegenseitig vor. Ist er bei Ihnen beiden gleich, sieht und hört unterwegs niemand mit, auch nicht der Server. Ist er verschieden, beenden Sie das Gespräch.',
    en: 'Read the code out to each other. If you both see the same one, nobody on the way is watching or listening, not even the server. If they differ, end the call.',
  },

  'invite.title': { de: 'Jemanden einladen', en: 'Invite someone' },
  'invite.hint': {
    de: 'Geben Sie diesen Link nur der Person, die Sie einladen. Er enthält den Schlüssel des Gesprächs.',
    en: 'Give this link only to the person you invite. It holds the key of the call.',
  },
  'invite.hintP2p': {
    de: 'Geben Sie diesen Link nur der Person, die Sie einladen. Der Raum ist für zwei Personen.',
    en: 'Give this link only to the person you invite. The room is for two people.',
  },
  'invite.link': { de: 'Einladungslink', en: 'Invitation link' },
  'invite.until': { de: 'Gültig bis {time}', en: 'Valid until {time}' },
  'invite.copy': { de: 'Link kopieren', en: 'Copy link' },
  'invite.copied': { de: 'Kopiert', en: 'Copied' },
  'invite.failed': { de: 'Die Einladung ist nicht gelungen', en: 'The invitation did not work' },
  'dialog.close': { de: 'Schließen', en: 'Close' },

  'status.connecting': { de: 'Verbindung wird aufgebaut …', en: 'Connecting …' },
  'status.connected': { de: 'Verbunden, Ende-zu-Ende verschlüsselt', en: 'Connected, end-to-end encrypted' },
  'status.reconnecting': {
    de: 'Verbindung unterbrochen, wird wiederhergestellt …',
    en: 'Connection lost, reconnecting …',
  },
  'status.reconnected': { de: 'Wieder verbunden', en: 'Reconnected' },
  'status.disconnected': { de: 'Getrennt', en: 'Disconnected' },

  'end.left': { de: 'Sie haben das Gespräch verlassen', en: 'You left the call' },
  'end.full': { de: 'Der Raum ist voll', en: 'The room is full' },
  'end.expired': { de: 'Ihr Link ist abgelaufen', en: 'Your link has expired' },
  'end.refused': { de: 'Der Server hat den Zutritt abgelehnt', en: 'The server refused entry' },
  'end.removed': { de: 'Sie wurden aus dem Gespräch entfernt', en: 'You were removed from the call' },
  'end.closed': { de: 'Das Gespräch wurde beendet', en: 'The call was ended' },
  'end.replaced': {
    de: 'Sie sind in einem anderen Fenster beigetreten',
    en: 'You joined in another window',
  },
  'end.shutdown': { de: 'Der Server wird gewartet', en: 'The server is under maintenance' },
  'end.unreachable': { de: 'Der Server ist nicht erreichbar', en: 'The server cannot be reached' },
  'end.media': {
    de: 'Bild und Ton kommen nicht durch Ihr Netzwerk',
    en: 'Picture and sound do not get through your network',
  },
  'end.insecure': { de: 'Die Verbindung war nicht sicher', en: 'The connection was not secure' },
  'end.lost': { de: 'Die Verbindung ist abgebrochen', en: 'The connection was lost' },
  'end.helpInsecure': {
    de: 'Vielleicht hat sich jemand dazwischengeschaltet. Bild und Ton wurden nicht übertragen. Bitte rufen Sie in der Praxis an.',
    en: 'Somebody may have come in between. No picture or sound was sent. Please call your practice by telephone.',
  },
  'end.helpNewLink': { de: 'Bitte fragen Sie nach einem neuen Link.', en: 'Please ask for a new link.' },
  'end.helpRetry': {
    de: 'Sie können es gleich noch einmal versuchen.',
    en: 'You can try again right away.',
  },
  'end.helpNetwork': {
    de: 'Prüfen Sie Ihre Internetverbindung, oder versuchen Sie es aus einem anderen Netz.',
    en: 'Check your internet connection, or try from another network.',
  },
  'end.helpClose': { de: 'Sie können dieses Fenster schließen.', en: 'You can close this window.' },
  'end.rejoin': { de: 'Erneut teilnehmen', en: 'Join again' },
} satisfies Record<string, Record<Lang, string>>;

export type StringKey = keyof typeof strings;
export type Params = Record<string, string | number>;

export function translate(lang: Lang, key: StringKey, params: Params = {}): string {
  return strings[key][lang].replace(/\{(\w+)\}/g, (_, name: string) => String(params[name] ?? ''));
}

export function pickLang(preferred: readonly string[]): Lang {
  for (const tag of preferred) {
    if (/^de\b/i.test(tag)) return 'de';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}
