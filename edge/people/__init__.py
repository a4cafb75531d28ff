"""Enrolled people: `doorlight people`, and the door that knows them (`[people] enabled`). See README.md in this folder.

- record: a person, their template and their consent
- consent: the text that a person agrees to, and how long that holds
- sealed: encryption of records, files and cards
- private_file: files of mode 600 whose old content is overwritten
- key_file: the key of the store
- store: the SQLite file
- quality: whether a face is good enough, and how much it counts
- matching: which enrolled person a template is
- enrolment: templates from pictures and from a camera
- liveness: which faces move again and again, which a picture does not
- recogniser: the door's part, for one frame after another
- gallery_keeper: the door's copy of the store, kept up to date
- transfer: signed and encrypted files for other doors
- sync: what a door and a shared database take over from each other
- card, card_reader: a template in a QR code
"""
