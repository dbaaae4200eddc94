/** The texts of mail-texts-en.ts in German. */
import type { MailKey } from './mail-texts-en.ts';

export const GERMAN_MAIL: Readonly<Record<MailKey, string>> = {
  verifySubject: 'Bestätigen Sie Ihre Adresse',
  verifyText: 'Jemand hat mit dieser Adresse ein Konto angelegt. Zum Bestätigen öffnen Sie:',
  verifyButton: 'Adresse bestätigen',
  verifyUntil:
    'Das geht einmal, innerhalb eines Tages und nur mit dem Passwort, das gewählt wurde, oder mit einem neuen.',
  verifyElse: 'Wenn Sie das nicht waren, tun Sie nichts: Es wird kein Konto angelegt.',
  orCode: 'Oder verwenden Sie diesen Code: {code}',
  moveText: 'Jemand möchte diese Adresse als neue Adresse des eigenen Kontos verwenden. Zum Bestätigen öffnen Sie:',
  moveUntil: 'Das geht einmal, innerhalb eines Tages und nur mit dem Passwort des Kontos.',
  moveElse: 'Wenn Sie das nicht waren, tun Sie nichts: Das Konto behält seine Adresse.',
  takenSubject: 'Sie haben bereits ein Konto',
  takenText: 'Jemand wollte mit dieser Adresse ein Konto anlegen, sie gehört aber schon zu einem.',
  takenElse:
    'Wenn Sie das waren, melden Sie sich an oder fordern Sie ein neues Passwort an. Sonst brauchen Sie nichts zu tun.',
  resetSubject: 'Neues Passwort festlegen',
  resetText: 'Jemand hat für das Konto „{account}“ ein neues Passwort angefordert. Um eines festzulegen, öffnen Sie:',
  resetButton: 'Neues Passwort festlegen',
  resetUntil:
    'Das geht einmal, innerhalb von 30 Minuten. Wenn Sie das nicht waren, tun Sie nichts: Das Passwort bleibt.',

  passwordSubject: 'Ihr Passwort wurde geändert',
  passwordText: 'Das Passwort Ihres Kontos wurde geändert, alle Sitzungen wurden beendet.',
  passwordElse: 'Wenn Sie das nicht waren, fordern Sie sofort ein neues Passwort an.',
  lockedSubject: 'Fehlgeschlagene Anmeldungen',
  lockedText:
    'Für Ihr Konto wurden mehrere falsche Passwörter eingegeben. Anmeldungen werden für eine Weile verlangsamt.',
  lockedElse: 'Wenn Sie das nicht waren, brauchen Sie nichts zu tun; ein zweiter Faktor macht Ihr Konto sicherer.',
  addressSubject: 'Ihre Adresse wurde geändert',
  addressText: 'Die Adresse Ihres Kontos wurde geändert; dies ist die letzte E-Mail an die alte.',
  addressElse: 'Wenn Sie das nicht waren, schreiben Sie an die Administratoren dieses Dienstes.',

  accessSubject: 'Der Zugang zu Ihrem Konto wurde geändert',
  accessElse:
    'Wenn Sie das nicht waren, machen Sie es rückgängig, ändern Sie Ihr Passwort und beenden Sie sofort alle Sitzungen.',
  keyMade: 'Für Ihr Konto wurde der API-Schlüssel „{name}“ erstellt.',
  keyReplaced: 'Der API-Schlüssel „{name}“ Ihres Kontos wurde ersetzt.',
  keyMadeFor: 'Ein Administrator hat für Ihr Konto den API-Schlüssel „{name}“ erstellt.',
  keyReplacedFor: 'Ein Administrator hat den API-Schlüssel „{name}“ Ihres Kontos ersetzt.',
  childMade: 'Das Kinderkonto „{name}“ wurde angelegt.',
  applicationAllowed: 'Die Anwendung „{name}“ darf jetzt für Ihr Konto handeln.',
  linkAdded: 'In Ihr Konto kommt man jetzt auch mit einem Konto bei {provider}.',
  linkRemoved: 'Die Verknüpfung mit Ihrem Konto bei {provider} wurde entfernt.',
  linksRemoved: 'Alle Verknüpfungen Ihres Kontos mit fremden Konten wurden entfernt.',

  factorsSubject: 'Ihre zweiten Faktoren wurden geändert',
  factorsElse: 'Wenn Sie das nicht waren, ändern Sie sofort Ihr Passwort.',
  factorAdded: 'Ihrem Konto wurde ein zweiter Faktor hinzugefügt.',
  factorRemoved: 'Von Ihrem Konto wurde ein zweiter Faktor entfernt.',
  factorsRemovedFor: 'Ein Administrator hat die zweiten Faktoren Ihres Kontos entfernt.',
  passkeysRemoved: 'Alle Passkeys Ihres Kontos wurden entfernt.',
  codesMade: 'Für Ihr Konto wurden neue Wiederherstellungscodes erstellt; die alten gelten nicht mehr.',
  codeUsed: 'Ein Wiederherstellungscode Ihres Kontos wurde verwendet; es sind noch {count} übrig.',
  takenOver: 'Zweite Faktoren und Verknüpfungen, die es vor der Bestätigung Ihrer Adresse gab, wurden entfernt.',
};
