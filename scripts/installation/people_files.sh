# shellcheck shell=sh
# Find the files of enrolled people, and overwrite them before they are deleted. Sourced by scripts/install.sh, after common.sh,
# with named_files.sh.

# Overwrite the store of enrolled people, its key and the secrets of people sync in a folder that is about to be deleted: doorlight
# people remove reaches only the files in use, and what is left of both here could be read together.
overwrite_people() {
    store="$(named_file people)"
    # As a pattern of find.
    name="$(printf '%s' "${store##*/}" | sed 's/[][*?\\]/\\&/g')"
    name="${name:-people.db}"
    find "$1" -xdev -type f \( -name "$name" -o -name "$name.new" -o -name people.db -o -name people.db.new -o -name people.key -o \
        -name people.key.new -o -name people.passphrase -o -path '*/people-sync/*' \) -exec shred -n 0 -z {} + 2>/dev/null || true
}

# Whether a file has the application id of SQLite that edge/people/store.py sets.
is_people_store() { [ -f "$1" ] && [ "$(od -A n -t x1 -j 68 -N 4 "$1" 2>/dev/null | tr -d ' ')" = 446f6f72 ]; }

# Print the store of enrolled people, if [people] file names one outside of the folders of Doorlight.
people_elsewhere() {
    store="$(named_elsewhere people)"
    if is_people_store "$store"; then printf '%s\n' "$store"; fi
}

# Overwrite and delete such a store, with what lies beside it. Nothing else has these names, see edge/enrolled_paths.py. A link is
# not followed: whoever may write in the folder could let it lead to any file. The door reads people through a link, though.
delete_people() {
    beside="${1%/*}"
    for file in "$1" "$1.new" "$beside/people.key" "$beside/people.key.new" "$beside/people.lock"; do
        if [ -L "$file" ]; then
            say "$file: is a link; if $(readlink -m -- "$file") has enrolled people, delete it"
        elif [ -f "$file" ]; then
            shred -n 0 -z "$file" 2>/dev/null || true
            rm -f "$file"
        fi
    done
}
