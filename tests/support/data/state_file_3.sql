-- A state file as version 3 of its tables has it, after two judging runs: of four cases opened by
-- the first, the second found two again, missed one, and did not read the day of another.
BEGIN TRANSACTION;
CREATE TABLE case_counts (
        merchant TEXT NOT NULL, day TEXT, kind TEXT NOT NULL, motivo TEXT, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, first_seen TEXT NOT NULL, status TEXT, owner TEXT,
        cases INTEGER NOT NULL);
INSERT INTO "case_counts" VALUES('12345678000190','2026-11-02','log',NULL,'open',1,'2026-11-20T09:00:00+00:00',NULL,NULL,1);
INSERT INTO "case_counts" VALUES('12345678000190','2026-11-01','log',NULL,'open',1,'2026-11-20T09:00:00+00:00',NULL,NULL,1);
INSERT INTO "case_counts" VALUES('12345678000190','2026-11-01','transaction',NULL,'missing',1,'2026-11-20T09:00:00+00:00',NULL,NULL,1);
INSERT INTO "case_counts" VALUES('12345678000190',NULL,'log',NULL,'open',1,'2026-11-20T09:00:00+00:00',NULL,NULL,1);
CREATE TABLE case_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL, at TEXT NOT NULL,
        who TEXT NOT NULL, kind TEXT NOT NULL, text TEXT);
INSERT INTO "case_events" VALUES(1,3584701936462489474,'2026-11-21T09:00:00+00:00','#2','missing',NULL);
CREATE TABLE cases (
        key INTEGER PRIMARY KEY, merchant TEXT NOT NULL, state TEXT NOT NULL,
        opened_by INTEGER NOT NULL, moment INTEGER NOT NULL, first_seen TEXT NOT NULL,
        last_seen TEXT NOT NULL, status TEXT, owner TEXT, version INTEGER NOT NULL DEFAULT 0,
        base INTEGER NOT NULL, ordinal INTEGER NOT NULL, digest INTEGER NOT NULL,
        kind TEXT NOT NULL, day TEXT, time TEXT, card TEXT, code TEXT, amount TEXT, cpf TEXT,
        virtual TEXT, merchant_field TEXT, text TEXT, motivo TEXT, counterpart TEXT);
INSERT INTO "cases" VALUES(104675255348127338,'12345678000190','open',1,1793598358,'2026-11-20T09:00:00+00:00','2026-11-21T09:00:00+00:00',NULL,NULL,0,911219732905218322,1,1218218546607258092,'log','2026-11-01',NULL,'400000******0001','00',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "cases" VALUES(947661805806377203,'12345678000190','open',1,9223372036854775807,'2026-11-20T09:00:00+00:00','2026-11-21T09:00:00+00:00',NULL,NULL,0,9030516838388527270,1,1218218546607258092,'log',NULL,NULL,'400000******0007','00',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "cases" VALUES(3584701936462489474,'12345678000190','missing',1,1793598358,'2026-11-20T09:00:00+00:00','2026-11-20T09:00:00+00:00',NULL,NULL,0,-8104487199712438,1,1218218546607258092,'transaction','2026-11-01',NULL,'400000******0003',NULL,'1.00',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "cases" VALUES(7646843977974089815,'12345678000190','open',1,1793684759,'2026-11-20T09:00:00+00:00','2026-11-20T09:00:00+00:00',NULL,NULL,0,-1707017874810907874,1,1218218546607258092,'log','2026-11-02',NULL,'400000******0002','00',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE dispatches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, kind TEXT NOT NULL,
        event TEXT, target TEXT NOT NULL, at TEXT NOT NULL, problem TEXT);
CREATE TABLE judged_days (
        merchant TEXT NOT NULL, day TEXT NOT NULL, judgement INTEGER NOT NULL,
        PRIMARY KEY (merchant, day)) WITHOUT ROWID;
INSERT INTO "judged_days" VALUES('12345678000190','2026-11-01',2);
INSERT INTO "judged_days" VALUES('12345678000190','2026-11-02',1);
CREATE TABLE judgements (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL UNIQUE, merchant TEXT NOT NULL,
        at TEXT NOT NULL, period_start TEXT NOT NULL, period_end TEXT NOT NULL,
        transactions_until TEXT, logs_until TEXT, new INTEGER NOT NULL DEFAULT 0,
        resolved INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 0,
        outside INTEGER NOT NULL DEFAULT 0);
INSERT INTO "judgements" VALUES(1,1,'12345678000190','2026-11-20T09:00:00+00:00','2026-11-01','2026-11-02',NULL,NULL,4,0,4,0);
INSERT INTO "judgements" VALUES(2,2,'12345678000190','2026-11-21T09:00:00+00:00','2026-11-01','2026-11-02',NULL,NULL,0,1,3,0);
CREATE TABLE runs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	began_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	origin VARCHAR NOT NULL, 
	who VARCHAR NOT NULL, 
	process INTEGER NOT NULL, 
	process_born FLOAT NOT NULL, 
	merchant VARCHAR NOT NULL, 
	merchant_name VARCHAR NOT NULL, 
	period_start DATE NOT NULL, 
	period_end DATE NOT NULL, 
	rule VARCHAR NOT NULL, 
	tolerance_seconds INTEGER NOT NULL, 
	clear BOOLEAN NOT NULL, 
	outcome VARCHAR NOT NULL, 
	message VARCHAR, 
	note VARCHAR, 
	books JSON, 
	seconds JSON, 
	file VARCHAR, 
	size_bytes INTEGER, 
	sha256 VARCHAR
);
CREATE TABLE saved_views (
        person TEXT NOT NULL, in_table TEXT NOT NULL, name TEXT NOT NULL, view TEXT NOT NULL,
        PRIMARY KEY (person, in_table, name)) WITHOUT ROWID;
CREATE INDEX cases_by_moment ON cases (merchant, moment, key);
CREATE INDEX cases_by_state ON cases (merchant, state, moment, key);
CREATE INDEX cases_by_age ON cases (merchant, state, first_seen, key);
CREATE INDEX cases_by_owner ON cases (merchant, state, owner, key);
CREATE INDEX cases_by_status ON cases (merchant, state, status, key);
CREATE INDEX cases_by_amount ON cases (merchant, state, CAST(amount AS REAL), key);
CREATE INDEX case_counts_by_day ON case_counts (merchant, day);
CREATE INDEX case_events_by_key ON case_events (key);
CREATE INDEX judgements_by_merchant ON judgements (merchant, id);
CREATE INDEX dispatches_by_run ON dispatches (run);
COMMIT;
PRAGMA user_version = 3;
