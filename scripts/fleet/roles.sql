-- Rights for doorlight collect and doorlight fleet. Run it once, as the owner of the tables, after
--   doorlight collect --print-schema | psql postgresql:///doorlight
-- as: psql postgresql:///doorlight -f roles.sql
-- Then for each user: GRANT doorlight_collector TO office;  or  GRANT doorlight_reader TO reception;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'doorlight_collector') THEN CREATE ROLE doorlight_collector; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'doorlight_reader') THEN CREATE ROLE doorlight_reader; END IF;
END $$;

GRANT USAGE ON SCHEMA doorlight TO doorlight_collector, doorlight_reader;

-- A collector adds, and never changes or deletes an event.
GRANT SELECT ON doorlight.schema_version, doorlight.events, doorlight.gaps, doorlight.doors, doorlight.rejected TO doorlight_collector;
GRANT INSERT ON doorlight.events, doorlight.gaps TO doorlight_collector;
GRANT INSERT, UPDATE ON doorlight.doors, doorlight.rejected TO doorlight_collector;
GRANT EXECUTE ON FUNCTION doorlight.add_month TO doorlight_collector;

-- doorlight fleet, Grafana.
GRANT SELECT ON doorlight.schema_version, doorlight.events, doorlight.gaps, doorlight.doors, doorlight.rejected TO doorlight_reader;
