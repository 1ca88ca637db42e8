-- connect: which cluster this is.
-- no parameters
-- returns: system_identifier int8
SELECT system_identifier FROM pg_control_system();
