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

  'tan.title': { de: 'Ihre TAN', en: 'Your TAN' },
  'tan.what': {
    de: 'Geben Sie hier die TAN aus Ihrem Brief ein. Danach prüfen Sie Kamera und Mikrofon und warten, bis die Praxis Sie einlässt.',
    en: 'Type the TAN from your letter here. Then you check camera and microphone, and wait until the practice lets you in.',
  },
  'tan.label': { de: 'TAN aus Ihrem Brief', en: 'TAN from your letter' },
  'tan.hint': {
    de: 'Zwölf Zeichen, etwa 7KQ2-M9XC-4TB0. Groß oder klein, mit oder ohne Striche: beides ist richtig.',
    en: 'Twelve characters, such as 7KQ2-M9XC-4TB0. Capitals or not, with or without hyphens: both are fine.',
  },
  'tan.go': { de: 'Weiter', en: 'Continue' },
  'tan.again': { de: 'Noch einmal versuchen', en: 'Try again' },
  'tan.privacy': {
    de: 'Die zweite Hälfte Ihrer TAN verlässt dieses Gerät nicht. Mit ihr erkennen sich Ihr Gerät und das der Praxis, ohne dass der Server sie kennt.',
    en: 'The second half of your TAN never leaves this device. By it your device and the practice’s recognise each other, without the server knowing it.',
  },
  'tan.foreign': { de: 'Das Zeichen „{character}“ kommt in keiner TAN vor.', en: 'The character “{character}” is in no TAN.' },
  'tan.faultCharacters': { de: 'Ein Zeichen kommt in keiner TAN vor. Bitte vergleichen Sie mit Ihrem Brief.', en: 'One of the characters is in no TAN. Please compare with your letter.' },
  'tan.faultLength': { de: 'Eine TAN hat zwölf Zeichen. Bitte vergleichen Sie mit Ihrem Brief.', en: 'A TAN has twelve characters. Please compare with your letter.' },
  'tan.faultCheck': {
    de: 'Da ist ein Tippfehler: Ein Zeichen stimmt nicht, oder zwei sind vertauscht. Bitte vergleichen Sie mit Ihrem Brief.',
    en: 'There is a typing error: one character is wrong, or two are swapped. Please compare with your letter.',
  },
  'tan.unknown': {
    de: 'Diese TAN ist hier nicht bekannt. Bitte vergleichen Sie die TAN und die Adresse dieser Seite mit Ihrem Brief.',
    en: 'This TAN is not known here. Please compare the TAN and the address of this page with your letter.',
  },
  'tan.used': {
    de: 'Diese TAN wurde schon auf einem anderen Gerät benutzt. Bitte nehmen Sie dort teil, oder rufen Sie in der Praxis an.',
    en: 'This TAN was used on another device already. Please go on there, or call your practice by telephone.',
  },
  'tan.expired': {
    de: 'Diese TAN gilt nicht mehr. Bitte rufen Sie in der Praxis an und fragen Sie nach einer neuen.',
    en: 'This TAN is no longer valid. Please call your practice and ask for a new one.',
  },
  'tan.early': { de: 'Diese TAN gilt erst ab {time}. Bitte kommen Sie dann wieder.', en: 'This TAN is valid from {time}. Please come back then.' },
  'tan.tooMany': {
    de: 'Es gab zu viele Versuche. Bitte versuchen Sie es in {minutes} Min. noch einmal, oder rufen Sie in der Praxis an.',
    en: 'There were too many tries. Please try again in {minutes} min, or call your practice by telephone.',
  },
  'tan.over': { de: 'Ihr letztes Gespräch ist beendet. Für ein neues geben Sie bitte die neue TAN ein.', en: 'Your last consultation is over. For a new one please type the new TAN.' },
  'tan.later': {
    de: 'Ihr Platz lässt sich gerade nicht wieder einnehmen. Laden Sie diese Seite gleich noch einmal; Ihre TAN gilt weiter.',
    en: 'Your place cannot be taken again just now. Load this page again in a moment; your TAN stays valid.',
  },
  'tan.wrongTitle': { de: 'Die TAN stimmt noch nicht', en: 'The TAN is not right yet' },
  'tan.wrong': {
    de: 'Die Praxis erkennt Ihre TAN nicht. Bitte geben Sie sie noch einmal genau so ein, wie sie in Ihrem Brief steht. Nach drei falschen Versuchen gilt sie nicht mehr.',
    en: 'The practice does not recognise your TAN. Please type it once more, exactly as it stands in your letter. After three wrong tries it is no longer valid.',
  },

  'wait.title': { de: 'Sie sind im Wartezimmer', en: 'You are in the waiting room' },
  'wait.putBackTitle': { de: 'Sie sind wieder im Wartezimmer', en: 'You are in the waiting room again' },
  'wait.known': { de: 'Die Praxis weiß, dass Sie da sind. Bitte warten Sie, bis man Sie einlässt.', en: 'The practice knows that you are here. Please wait until you are let in.' },
  'wait.nobody': { de: 'Die Praxis ist noch nicht da. Bitte bleiben Sie auf dieser Seite, Sie werden dann gesehen.', en: 'Nobody from the practice is here yet. Please stay on this page; they will see you when they come.' },
  'wait.putBack': { de: 'Die Praxis hat das Gespräch mit Ihnen unterbrochen und lässt Sie später wieder ein.', en: 'The practice has paused the call with you and will let you in again later.' },
  'wait.lost': { de: 'Die Verbindung ist unterbrochen und wird wiederhergestellt. Ihr Platz bleibt Ihnen.', en: 'The connection was lost and is being restored. Your place is kept.' },
  'wait.hint': {
    de: 'Bis dahin sieht und hört Sie niemand. Prüfen Sie ruhig Kamera und Mikrofon.',
    en: 'Until then nobody sees or hears you. You may check camera and microphone meanwhile.',
  },
  'wait.leave': { de: 'Wartezimmer verlassen', en: 'Leave the waiting room' },

  'desk.title': { de: 'Personen', en: 'People' },
  'desk.people': { de: 'Personen', en: 'People' },
  'desk.peopleCount': { de: '({n} im Wartezimmer)', en: '({n} waiting)' },
  'desk.waiting': { de: 'Im Wartezimmer', en: 'Waiting' },
  'desk.here': { de: 'Im Gespräch', en: 'In the call' },
  'desk.nobodyWaits': { de: 'Niemand wartet.', en: 'Nobody is waiting.' },
  'desk.nobodyHere': { de: 'Noch niemand.', en: 'Nobody yet.' },
  'desk.arrived': { de: '{name} wartet. Im Wartezimmer: {n}', en: '{name} is waiting. In the waiting room: {n}' },
  'desk.since': { de: 'wartet seit {minutes} Min. ({time})', en: 'waiting for {minutes} min ({time})' },
  'desk.sinceNow': { de: 'gerade gekommen ({time})', en: 'just arrived ({time})' },
  'desk.reception': { de: 'Empfang', en: 'Reception' },
  'desk.admit': { de: 'Einlassen', en: 'Let in' },
  'desk.admitName': { de: 'Einlassen: {name}', en: 'Let in: {name}' },
  'desk.refuse': { de: 'Abweisen', en: 'Turn away' },
  'desk.refuseName': { de: 'Abweisen: {name}', en: 'Turn away: {name}' },
  'desk.refuseTitle': { de: 'Wirklich abweisen?', en: 'Turn this person away?' },
  'desk.refuseHint': { de: 'Die Person kann mit dieser Einladung nicht wiederkommen.', en: 'The person cannot come back with this invitation.' },
  'desk.putback': { de: 'Ins Wartezimmer', en: 'Back to waiting' },
  'desk.putbackName': { de: 'Ins Wartezimmer: {name}', en: 'Back to waiting: {name}' },
  'desk.mute': { de: 'Stummschalten', en: 'Mute' },
  'desk.muteName': { de: 'Stummschalten: {name}', en: 'Mute: {name}' },
  'desk.remove': { de: 'Entfernen', en: 'Remove' },
  'desk.removeName': { de: 'Entfernen: {name}', en: 'Remove: {name}' },
  'desk.removeTitle': { de: 'Wirklich entfernen?', en: 'Remove this person?' },
  'desk.removeHint': { de: 'Das Gespräch ist für diese Person zu Ende; sie kann nicht wiederkommen.', en: 'The call is over for this person, who cannot come back.' },
  'desk.lock': { de: 'Raum abschließen', en: 'Lock the room' },
  'desk.unlock': { de: 'Raum aufschließen', en: 'Unlock the room' },
  'desk.end': { de: 'Für alle beenden', en: 'End for all' },
  'desk.endTitle': { de: 'Für alle beenden?', en: 'End the call for all?' },
  'desk.endHint': { de: 'Das Gespräch endet für alle, auch für die im Wartezimmer. TANs dieses Raums gelten dann nicht mehr.', en: 'The call ends for everybody, those who wait included. TANs of this room are then no longer valid.' },
  'desk.noPracticeKey': {
    de: 'Kam mit TAN. Diesem PC fehlt der Praxisschlüssel, er kann die TAN nicht prüfen. Holen Sie den Schlüssel von dem PC, auf dem die TAN gemacht wurde.',
    en: 'Came by TAN. This PC lacks the practice key and cannot check the TAN. Bring the key from the PC where the TAN was made.',
  },
  'desk.otherKey': {
    de: 'Kam mit TAN, die mit einem anderen Praxisschlüssel gemacht wurde. Dieser PC kann sie nicht prüfen.',
    en: 'Came by a TAN that was made with another practice key. This PC cannot check it.',
  },
  'desk.damaged': { de: 'Die gespeicherte TAN lässt sich nicht lesen. Bitte geben Sie eine neue aus.', en: 'The stored TAN cannot be read. Please give out a new one.' },
  'desk.wrongTan': { de: 'Hat die TAN falsch eingegeben und wird noch einmal gefragt.', en: 'Typed the TAN wrongly and is asked again.' },
  'desk.wrongLink': { de: 'Hat einen Link mit einem anderen Schlüssel. Bitte geben Sie einen neuen Link aus.', en: 'Has a link with another key. Please give out a new link.' },
  'role.host': { de: 'Praxis', en: 'Practice' },
  'role.guest': { de: 'Gast', en: 'Guest' },
  'role.reception': { de: 'Empfang, hört und sieht nicht mit', en: 'Reception, neither listens nor watches' },
  'role.observer': { de: 'sieht und hört zu', en: 'watches and listens' },

  'reception.title': { de: 'Empfang', en: 'Reception' },
  'reception.hint': {
    de: 'Sie sehen, wer wartet, und lassen ein. Das Gespräch selbst sehen und hören Sie nicht.',
    en: 'You see who waits, and let people in. You neither see nor hear the call itself.',
  },
  'reception.test': { de: 'Kamera und Mikrofon testen', en: 'Test camera and microphone' },
  'reception.testHint': { de: 'Nur für Sie: Nichts davon geht in das Gespräch.', en: 'For you only: nothing of it goes into the call.' },

  'practice.open': { de: 'Praxisschlüssel …', en: 'Practice key …' },
  'practice.title': { de: 'Praxisschlüssel', en: 'Practice key' },
  'practice.what': {
    de: 'Mit dem Praxisschlüssel erkennen die PCs Ihrer Praxis die TANs Ihrer Patienten. Er liegt nur in diesen Browsern; der Server kennt ihn nie. Jeder PC, der Gäste mit TAN einlässt, braucht ihn.',
    en: 'By the practice key the PCs of your practice recognise your patients’ TANs. It lies in these browsers alone; the server never knows it. Each PC that lets in guests with a TAN needs it.',
  },
  'practice.missing': {
    de: 'Auf diesem PC fehlt der Praxisschlüssel. Bringen Sie ihn von einem PC Ihrer Praxis hierher, der ihn hat.',
    en: 'This PC has no practice key. Bring it here from a PC of your practice that has it.',
  },
  'practice.mark': { de: 'Praxisschlüssel auf diesem PC: {mark}', en: 'Practice key on this PC: {mark}' },
  'practice.export': { de: 'Auf einen anderen PC bringen', en: 'Take it to another PC' },
  'practice.save': { de: 'Als Datei speichern', en: 'Save as a file' },
  'practice.show': { de: 'Als QR-Code zeigen', en: 'Show as a QR code' },
  'practice.hide': { de: 'QR-Code verbergen', en: 'Hide the QR code' },
  'practice.qr': { de: 'QR-Code mit dem Praxisschlüssel', en: 'QR code with the practice key' },
  'practice.qrHint': { de: 'Wer diesen Code fotografiert, hat den Schlüssel.', en: 'Whoever photographs this code has the key.' },
  'practice.import': { de: 'Praxisschlüssel einlesen', en: 'Import the practice key' },
  'practice.file': { de: 'Datei mit dem Praxisschlüssel', en: 'File with the practice key' },
  'practice.paste': { de: 'oder sein Text (aus dem QR-Code)', en: 'or its text (from the QR code)' },
  'practice.take': { de: 'Einlesen', en: 'Import' },
  'practice.replaceTitle': { de: 'Praxisschlüssel ersetzen?', en: 'Replace the practice key?' },
  'practice.replaceHint': {
    de: 'Dieser PC hat schon einen anderen Praxisschlüssel. TANs, die mit ihm gemacht wurden, kann er danach nicht mehr prüfen.',
    en: 'This PC has another practice key already. TANs that were made with it cannot be checked here afterwards.',
  },
  'practice.replace': { de: 'Ersetzen', en: 'Replace' },
  'practice.faultNone': { de: 'Darin steht kein Praxisschlüssel.', en: 'There is no practice key in it.' },
  'practice.faultVersion': { de: 'Dieser Praxisschlüssel ist von einer neueren Fassung dieser Seite.', en: 'This practice key is of a newer version of this page.' },
  'practice.faultDamaged': { de: 'Dieser Praxisschlüssel ist unvollständig oder verändert.', en: 'This practice key is incomplete or was changed.' },
  'practice.about': {
    de: 'Praxisschlüssel für Konsil. Bewahren Sie diese Datei auf wie einen Schlüsselbund: Wer sie hat, kann die TANs Ihrer Patienten prüfen.',
    en: 'Practice key for Konsil. Keep this file as you keep your keys: whoever has it can check your patients’ TANs.',
  },

  'letter.title': { de: 'Ihre Videosprechstunde', en: 'Your video consultation' },
  'letter.when': { de: 'Ihr Termin: {time}', en: 'Your appointment: {time}' },
  'letter.open': { de: 'Öffnen Sie diese Seite, von Hand oder mit dem QR-Code:', en: 'Open this page, by hand or by the QR code:' },
  'letter.type': { de: 'Geben Sie dort Ihre TAN ein:', en: 'Type your TAN there:' },
  'letter.wait': { de: 'Prüfen Sie Kamera und Mikrofon, und warten Sie, bis man Sie einlässt.', en: 'Check camera and microphone, and wait until you are let in.' },
  'letter.keep': { de: 'Die TAN ist nur für Sie. Bitte geben Sie sie nicht weiter.', en: 'The TAN is for you alone. Please do not pass it on.' },
  'letter.need': {
    de: 'Sie brauchen ein Handy, Tablet oder einen PC mit Kamera, Mikrofon und aktuellem Browser. Konto und App brauchen Sie nicht.',
    en: 'You need a phone, tablet or PC with camera, microphone and an up-to-date browser. You need no account and no app.',
  },

  'legal.terms': { de: 'Nutzungsbedingungen', en: 'Terms of use' },
  'legal.privacy': { de: 'Datenschutz', en: 'Privacy notice' },
  'legal.imprint': { de: 'Impressum', en: 'Imprint' },
  'legal.consent': {
    de: 'Ich habe die Nutzungsbedingungen und die Datenschutzhinweise gelesen und stimme ihnen zu.',
    en: 'I have read the terms of use and the privacy notice, and agree to them.',
  },
  'legal.missing': { de: 'Bitte stimmen Sie erst zu.', en: 'Please agree first.' },

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

  'call.noKey': {
    de: 'Dieser PC kann noch nicht entschlüsseln, was der Gast sendet. Warum, steht bei der Person.',
    en: 'This PC cannot decrypt yet what the guest sends. The reason stands beside the person.',
  },

  'safety.title': { de: 'Sicherheitscode', en: 'Safety code' },
  'safety.hint': {
    de: 'Lesen Sie sich den Code gegenseitig vor. Ist er bei allen gleich, sieht und hört unterwegs niemand mit, auch nicht der Server. Ist er verschieden, beenden Sie das Gespräch.',
    en: 'Read the code out to each other. If all see the same one, nobody on the way is watching or listening, not even the server. If they differ, end the call.',
  },

  'invite.how': { de: 'Wie einladen?', en: 'How to invite?' },
  'invite.byLink': { de: 'Mit einem Link', en: 'By a link' },
  'invite.byTan': { de: 'Mit einer TAN, für Brief oder Telefon', en: 'By a TAN, for a letter or the telephone' },
  'invite.making': { de: 'Einen Augenblick …', en: 'One moment …' },
  'invite.qr': { de: 'QR-Code des Einladungslinks', en: 'QR code of the invitation link' },
  'invite.qrHint': { de: 'Mit der Kamera des anderen Geräts öffnen', en: 'Open with the other device’s camera' },
  'invite.tanWhat': {
    de: 'Die TAN wird in diesem Browser gemacht. Der Server kennt nur ihre erste Hälfte; die zweite braucht es für die Verschlüsselung.',
    en: 'The TAN is made in this browser. The server knows its first half only; the second is needed for the encryption.',
  },
  'invite.appointment': { de: 'Termin (wenn Sie wollen)', en: 'Appointment (if you like)' },
  'invite.appointmentHint': {
    de: 'Mit Termin gilt die TAN ab einer Stunde davor bis zwölf Stunden danach, sonst ab jetzt einen Tag lang.',
    en: 'With an appointment the TAN is valid from an hour before to twelve hours after it, else for a day from now.',
  },
  'invite.makeTan': { de: 'TAN machen', en: 'Make a TAN' },
  'invite.tanHint': {
    de: 'Geben Sie diese TAN nur der Person, die Sie einladen. Sie wird nur jetzt gezeigt.',
    en: 'Give this TAN only to the person you invite. It is shown now and never again.',
  },
  'invite.tanAddress': { de: 'Eingeben auf', en: 'To be typed at' },
  'invite.qrAddress': { de: 'QR-Code der Adresse, auf der man die TAN eingibt', en: 'QR code of the address where the TAN is typed' },
  'invite.qrAddressHint': { de: 'Öffnet die Seite für die TAN', en: 'Opens the page for the TAN' },
  'invite.print': { de: 'Brief drucken', en: 'Print the letter' },
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
  'dialog.cancel': { de: 'Abbrechen', en: 'Cancel' },
  'dialog.close': { de: 'Schließen', en: 'Close' },

  'status.connecting': { de: 'Verbindung wird aufgebaut …', en: 'Connecting …' },
  'status.connected': { de: 'Verbunden, Ende-zu-Ende verschlüsselt', en: 'Connected, end-to-end encrypted' },
  'status.reconnecting': {
    de: 'Verbindung unterbrochen, wird wiederhergestellt …',
    en: 'Connection lost, reconnecting …',
  },
  'status.reconnected': { de: 'Wieder verbunden', en: 'Reconnected' },
  'status.disconnected': { de: 'Getrennt', en: 'Disconnected' },

  'status.atDesk': { de: 'Verbunden', en: 'Connected' },

  'end.left': { de: 'Sie haben das Gespräch verlassen', en: 'You left the call' },
  'end.full': { de: 'Der Raum ist voll', en: 'The room is full' },
  'end.expired': { de: 'Ihr Link ist abgelaufen', en: 'Your link has expired' },
  'end.refused': { de: 'Der Server hat den Zutritt abgelehnt', en: 'The server refused entry' },
  'end.turnedAway': { de: 'Die Praxis hat Sie nicht eingelassen', en: 'The practice did not let you in' },
  'end.used': { de: 'Die Einladung wurde schon auf einem anderen Gerät benutzt', en: 'The invitation was used on another device already' },
  'end.early': { de: 'Das Gespräch ist noch nicht offen', en: 'The call is not open yet' },
  'end.locked': { de: 'Der Raum ist abgeschlossen', en: 'The room is locked' },
  'end.busy': { de: 'Es gab zu viele Versuche', en: 'There were too many tries' },
  'end.helpCall': { de: 'Bitte rufen Sie in der Praxis an.', en: 'Please call your practice by telephone.' },
  'end.helpLater': { de: 'Bitte versuchen Sie es später noch einmal.', en: 'Please try again later.' },
  'end.helpLocked': {
    de: 'Das Gespräch hat ohne weitere Gäste begonnen. Versuchen Sie es gleich noch einmal, oder rufen Sie in der Praxis an.',
    en: 'The call has begun without further guests. Try again in a moment, or call your practice by telephone.',
  },
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
  'end.cipher': {
    de: 'Die Browser haben keine zugelassene Verschlüsselung vereinbart',
    en: 'The browsers agreed on no permitted encryption',
  },
  'end.insecure': { de: 'Die Verbindung war nicht sicher', en: 'The connection was not secure' },
  'end.lost': { de: 'Die Verbindung ist abgebrochen', en: 'The connection was lost' },
  'end.helpInsecure': {
    de: 'Vielleicht hat sich jemand dazwischengeschaltet. Bild und Ton wurden nicht übertragen. Bitte rufen Sie in der Praxis an.',
    en: 'Somebody may have come in between. No picture or sound was sent. Please call your practice by telephone.',
  },
  'end.helpNewLink': { de: 'Bitte fragen Sie nach einem neuen Link.', en: 'Please ask for a new link.' },
  'end.helpCipher': {
    de: 'Das Gespräch wurde beendet. Der Betreiber lässt nur Verschlüsselung mit AES-GCM zu, und Ihre beiden Browser wählen miteinander eine andere. Mit Firefox auf einer der beiden Seiten gelingt es, oder in einem Gruppenraum: Bitte fragen Sie nach einem neuen Link.',
    en: 'The call was ended. The operator permits encryption with AES-GCM alone, and your two browsers choose another one with each other. It works with Firefox on one of the two sides, or in a group room: please ask for a new link.',
  },
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
