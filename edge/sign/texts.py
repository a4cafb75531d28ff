"""The texts of the sign in each language. Values in braces are filled in.

To add a language, add its code to TEXTS with every key of English; tests/sign/test_sentences.py finds what is missing.
"""

from __future__ import annotations

#: By code of the language, then by name of the text.
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Camera at this door",
        "masks": "A computer in the box at the door looks at the faces in the camera's picture and decides by itself "
        "whether a mask covers mouth and nose.",
        "lights": "Green: everyone in view wears a mask. Red: someone wears none, or wears it under the nose.",
        "expressions": "Of faces without a mask, it also estimates the expression ({expressions}).",
        "expressions_masked": "It also estimates the expression of a face, with a mask too ({expressions}).",
        "alarm_buzzer": "If a face looks agitated, a buzzer sounds.",
        "alarm": "If a face looks agitated, this is noted.",
        "alarm_buzzer_bare": "If a face looks agitated, this is noted; without a mask, a buzzer sounds.",
        "no_expressions": "Expressions of faces are not read.",
        "no_identity": "Nobody is recognised.",
        "identity": "It compares faces with those of people who have agreed to be recognised here. It knows nobody else.",
        "templates": "Of people who have agreed, their name and a template of the face are kept, encrypted, for as long as "
        "they have agreed.",
        "looked_at": "What is looked at",
        "kept": "What is kept",
        "no_picture": "No picture is kept.",
        "log": "A log has the time, the result and how long somebody stayed, without names: of about the last {visits} "
        "visits. Older entries are deleted.",
        "log_expressions": "A log has the time, the result, how long somebody stayed and whether the face looked "
        "agitated, without names: of about the last {visits} visits. Older entries are deleted.",
        "hours": "How many people came in each hour is kept for years.",
        "seen_by": "Who can see it",
        "page_off": "Nobody watches the picture. Authorised people can open it for a short time, to set the camera up; {faces}.",
        "page_on": "Authorised people can watch the picture live; {faces}. Nothing is recorded.",
        "faces_hidden": "faces are then hidden",
        "faces_shown": "faces are then visible",
        "no_link": "Nothing else leaves the box.",
        "link": "Times and results are sent to other systems of the operator.",
        "ask": "Whom to ask",
        "responsible": "Responsible: {controller}",
        "responsible_blank": "Responsible:",
        "rights": "You may ask what is kept, object, and complain to the data protection authority.",
        "notice": "More: {notice}",
        "angry": "angry",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happy",
        "sad": "sad",
        "surprise": "surprise",
        "neutral": "neutral",
        "thousands": ",",
    },
    "de": {
        "title": "Kamera an dieser Tür",
        "masks": "Ein Computer im Kasten an der Tür sieht im Bild der Kamera die Gesichter und entscheidet selbst, ob "
        "eine Maske Mund und Nase bedeckt.",
        "lights": "Grün: Alle im Bild tragen eine Maske. Rot: Jemand trägt keine oder trägt sie unter der Nase.",
        "expressions": "Bei Gesichtern ohne Maske schätzt er auch den Gesichtsausdruck ({expressions}).",
        "expressions_masked": "Er schätzt auch den Gesichtsausdruck, auch bei Gesichtern mit Maske ({expressions}).",
        "alarm_buzzer": "Wirkt ein Gesicht aufgebracht, ertönt ein Summer.",
        "alarm": "Wirkt ein Gesicht aufgebracht, wird das vermerkt.",
        "alarm_buzzer_bare": "Wirkt ein Gesicht aufgebracht, wird das vermerkt; ohne Maske ertönt ein Summer.",
        "no_expressions": "Gesichtsausdrücke werden nicht ausgewertet.",
        "no_identity": "Niemand wird wiedererkannt.",
        "identity": "Er vergleicht Gesichter mit denen von Menschen, die ihrer Wiedererkennung hier zugestimmt haben. Sonst "
        "erkennt er niemanden.",
        "templates": "Von Menschen, die zugestimmt haben, werden Name und eine Gesichtsvorlage verschlüsselt gespeichert, "
        "solange die Zustimmung gilt.",
        "looked_at": "Was betrachtet wird",
        "kept": "Was gespeichert wird",
        "no_picture": "Kein Bild wird gespeichert.",
        "log": "Ein Protokoll enthält Zeit, Ergebnis und Aufenthaltsdauer, ohne Namen: von etwa den letzten {visits} "
        "Besuchen. Ältere Einträge werden gelöscht.",
        "log_expressions": "Ein Protokoll enthält Zeit, Ergebnis, Aufenthaltsdauer und ob das Gesicht aufgebracht "
        "wirkte, ohne Namen: von etwa den letzten {visits} Besuchen. Ältere Einträge werden gelöscht.",
        "hours": "Wie viele Menschen in jeder Stunde kamen, wird jahrelang aufbewahrt.",
        "seen_by": "Wer es sehen kann",
        "page_off": "Niemand sieht das Bild an. Befugte können es zum Einrichten der Kamera kurz öffnen; {faces}.",
        "page_on": "Befugte können das Bild live ansehen; {faces}. Nichts wird aufgezeichnet.",
        "faces_hidden": "Gesichter sind dabei verdeckt",
        "faces_shown": "Gesichter sind dabei zu sehen",
        "no_link": "Sonst verlässt nichts den Kasten.",
        "link": "Zeiten und Ergebnisse gehen an andere Systeme des Betreibers.",
        "ask": "Wen Sie fragen können",
        "responsible": "Verantwortlich: {controller}",
        "responsible_blank": "Verantwortlich:",
        "rights": "Sie können Auskunft verlangen, widersprechen und sich bei der Datenschutzbehörde beschweren.",
        "notice": "Mehr: {notice}",
        "angry": "wütend",
        "disgust": "angewidert",
        "fear": "ängstlich",
        "happy": "fröhlich",
        "sad": "traurig",
        "surprise": "überrascht",
        "neutral": "neutral",
        "thousands": ".",
    },
}
