-- The tables of `doorlight collect` and `doorlight fleet`, version 1. Collect makes them if its user may; otherwise:
--   doorlight collect --print-schema | psql DATABASE
-- scripts/fleet/roles.sql has the rights of a collector, and of those who only look.

CREATE SCHEMA doorlight;

CREATE TABLE doorlight.schema_version (version integer NOT NULL);
INSERT INTO doorlight.schema_version VALUES (1);

-- One row for each line of each door's log. A door never uses a number twice, and a line never changes, so (door, seq) is the
-- key. PostgreSQL wants the column of the partitions in it, too. With another time, it is another line: of a card that was
-- replaced, or of two doors with one name. `record` has the type json, not jsonb: the line stays as it was, to the byte.
CREATE TABLE doorlight.events (
    door     text COLLATE "C" NOT NULL,
    seq      bigint           NOT NULL,
    time     timestamptz      NOT NULL,
    received timestamptz      NOT NULL DEFAULT now(),
    event    text             NOT NULL,
    signal   text,
    person   bigint,
    record   json             NOT NULL,
    PRIMARY KEY (door, seq, time)
) PARTITION BY RANGE (time);

CREATE INDEX events_alarms ON doorlight.events (door, time) WHERE signal = 'ALARM';
CREATE INDEX events_time ON doorlight.events USING brin (time);

-- Events whose time is far from now, as of a door whose clock is not set. Every other month has a partition of its own.
CREATE TABLE doorlight.events_other PARTITION OF doorlight.events DEFAULT;

-- Numbers that the log of a door lost before they were sent, as the door says.
CREATE TABLE doorlight.gaps (
    door      text COLLATE "C" NOT NULL,
    first_seq bigint           NOT NULL,
    last_seq  bigint           NOT NULL,
    received  timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (door, first_seq, last_seq)
);

-- The newest of each door. Columns from events follow the highest number, or the newest line of a door that counts again.
CREATE TABLE doorlight.doors (
    door         text COLLATE "C" PRIMARY KEY,
    first_seen   timestamptz NOT NULL DEFAULT now(),
    last_seen    timestamptz,
    last_seq     bigint,
    last_time    timestamptz,
    signal       text,
    signal_time  timestamptz,
    online       boolean,
    online_since timestamptz,
    state        json,
    state_at     timestamptz,
    stats        json,
    stats_at     timestamptz
) WITH (fillfactor = 50);

-- Messages that are none, once each. Payloads are cut.
CREATE TABLE doorlight.rejected (
    topic      text COLLATE "C" NOT NULL,
    digest     bytea            NOT NULL,
    reason     text             NOT NULL,
    bytes      integer          NOT NULL,
    payload    bytea            NOT NULL,
    count      bigint           NOT NULL DEFAULT 1,
    first_seen timestamptz      NOT NULL DEFAULT now(),
    last_seen  timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, digest)
);

-- Make the partition of a month, and move into it what `events_other` has of it. Months before 2025 and after the next one
-- have none: a clock that is wrong, or a door that lies, must not make thousands of tables.
CREATE FUNCTION doorlight.add_month(wanted timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
    begin_at CONSTANT timestamptz := date_trunc('month', wanted);
    end_at   CONSTANT timestamptz := begin_at + interval '1 month';
    name     CONSTANT text := 'events_' || to_char(begin_at, 'YYYY_MM');
BEGIN
    IF begin_at < '2025-01-01' OR begin_at > date_trunc('month', now()) + interval '1 month' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('doorlight.add_month'));
    IF to_regclass('doorlight.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE doorlight.%I (LIKE doorlight.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    LOCK TABLE doorlight.events_other IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (DELETE FROM doorlight.events_other WHERE time >= %L AND time < %L RETURNING *)
         INSERT INTO doorlight.%I SELECT * FROM moved', begin_at, end_at, name);
    EXECUTE format(
        'ALTER TABLE doorlight.events ATTACH PARTITION doorlight.%I FOR VALUES FROM (%L) TO (%L)', name, begin_at, end_at);
END $$;
REVOKE ALL ON FUNCTION doorlight.add_month FROM PUBLIC;
