BEGIN TRANSACTION;
CREATE TABLE agents (
	id INTEGER NOT NULL, 
	parent INTEGER, 
	"commit" VARCHAR(40) NOT NULL, 
	tree VARCHAR(40) NOT NULL, 
	shape VARCHAR(200) NOT NULL, 
	born DATETIME NOT NULL, 
	CONSTRAINT pk_agents PRIMARY KEY (id), 
	CONSTRAINT fk_agents_parent FOREIGN KEY(parent) REFERENCES agents (id)
);
INSERT INTO "agents" VALUES(0,NULL,'e9534aaae03ab08d7ff9e99248a9e4592fcc2a97','0cfc0cb23d850ea9a954b4680053af11b54b0068','shape-0','2026-11-21 21:04:59.179677');
INSERT INTO "agents" VALUES(1,0,'036ea6aca801b1686d8242d69eef220f26dcd9b0','c22dabf98b4f3b90c61c82f3aca2b6a4521f6973','shape-1','2026-11-21 21:04:59.192102');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE calls (
	id INTEGER NOT NULL, 
	expansion INTEGER, 
	evaluation INTEGER, 
	role VARCHAR(40) NOT NULL, 
	model TEXT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cached_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	usd DOUBLE NOT NULL, 
	seconds DOUBLE NOT NULL, 
	retries INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	CONSTRAINT pk_calls PRIMARY KEY (id), 
	CONSTRAINT fk_calls_expansion FOREIGN KEY(expansion) REFERENCES expansions (id), 
	CONSTRAINT fk_calls_evaluation FOREIGN KEY(evaluation) REFERENCES evaluations (id), 
	CONSTRAINT ck_calls_one_move CHECK ((expansion IS NULL) <> (evaluation IS NULL))
);
INSERT INTO "calls" VALUES(1,1,NULL,'improve','offline:repair',100,10,20,0.25,1.5,0,'ok');
INSERT INTO "calls" VALUES(2,1,NULL,'improve','offline:repair',100,10,20,0.25,1.5,0,'ok');
INSERT INTO "calls" VALUES(3,NULL,1,'improve','offline:repair',100,10,20,0.25,1.5,0,'ok');
CREATE TABLE decisions (
	number INTEGER NOT NULL, 
	policy VARCHAR(200) NOT NULL, 
	move VARCHAR(20) NOT NULL, 
	agent INTEGER NOT NULL, 
	task TEXT, 
	evidence TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_decisions PRIMARY KEY (number), 
	CONSTRAINT fk_decisions_agent FOREIGN KEY(agent) REFERENCES agents (id)
);
INSERT INTO "decisions" VALUES(0,'hgm','expand',0,NULL,'{"draw": 0.5}','2026-01-02 00:00:00.000000');
INSERT INTO "decisions" VALUES(1,'hgm','expand',1,NULL,'{"draw": 0.5}','2026-01-02 00:00:00.000000');
INSERT INTO "decisions" VALUES(2,'hgm','evaluate',1,'t0','{"draw": 0.5}','2026-01-02 00:00:00.000000');
INSERT INTO "decisions" VALUES(3,'hgm','evaluate',1,'t1','{"draw": 0.5}','2026-01-02 00:00:00.000000');
INSERT INTO "decisions" VALUES(4,'hgm','evaluate',1,'t2','{"draw": 0.5}','2026-01-02 00:00:00.000000');
CREATE TABLE evaluations (
	id INTEGER NOT NULL, 
	decision INTEGER, 
	agent INTEGER NOT NULL, 
	benchmark VARCHAR(200) NOT NULL, 
	split VARCHAR(20) NOT NULL, 
	task TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	opened DATETIME NOT NULL, 
	outcome VARCHAR(20), 
	reason TEXT NOT NULL, 
	closed DATETIME, 
	seconds DOUBLE NOT NULL, 
	steps INTEGER NOT NULL, 
	calls BIGINT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cached_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	usd DOUBLE NOT NULL, 
	CONSTRAINT pk_evaluations PRIMARY KEY (id), 
	CONSTRAINT fk_evaluations_decision FOREIGN KEY(decision) REFERENCES decisions (number), 
	CONSTRAINT fk_evaluations_agent FOREIGN KEY(agent) REFERENCES agents (id), 
	CONSTRAINT ck_evaluations_closed CHECK ((outcome IS NULL) = (closed IS NULL))
);
INSERT INTO "evaluations" VALUES(1,2,1,'repair','search','t0',0,0,'2026-11-21 21:04:59.207584','RESOLVED','x','2026-11-21 21:04:59.215526',1.0,3,1,100,10,20,0.25);
INSERT INTO "evaluations" VALUES(2,3,1,'repair','search','t1',0,1,'2026-11-21 21:04:59.275004','TIMED_OUT','x','2026-11-21 21:04:59.278991',1.0,3,0,0,0,0,0.0);
INSERT INTO "evaluations" VALUES(3,4,1,'repair','search','t2',0,2,'2026-11-21 21:04:59.280795',NULL,'',NULL,0.0,0,0,0,0,0,0.0);
CREATE TABLE expansions (
	id INTEGER NOT NULL, 
	decision INTEGER NOT NULL, 
	parent INTEGER NOT NULL, 
	entry TEXT NOT NULL, 
	seed BIGINT NOT NULL, 
	opened DATETIME NOT NULL, 
	outcome VARCHAR(20), 
	reason TEXT NOT NULL, 
	issue TEXT NOT NULL, 
	child INTEGER, 
	closed DATETIME, 
	seconds DOUBLE NOT NULL, 
	calls BIGINT NOT NULL, 
	input_tokens BIGINT NOT NULL, 
	cached_tokens BIGINT NOT NULL, 
	output_tokens BIGINT NOT NULL, 
	usd DOUBLE NOT NULL, 
	CONSTRAINT pk_expansions PRIMARY KEY (id), 
	CONSTRAINT fk_expansions_decision FOREIGN KEY(decision) REFERENCES decisions (number), 
	CONSTRAINT fk_expansions_parent FOREIGN KEY(parent) REFERENCES agents (id), 
	CONSTRAINT fk_expansions_child FOREIGN KEY(child) REFERENCES agents (id), 
	CONSTRAINT ck_expansions_closed CHECK ((outcome IS NULL) = (closed IS NULL))
);
INSERT INTO "expansions" VALUES(1,0,0,'task:t1',7,'2026-11-21 21:04:59.185452','BORN','passed the life check','mend it',1,'2026-11-21 21:04:59.195398',2.5,2,200,20,40,0.5);
INSERT INTO "expansions" VALUES(2,1,1,'weakness:empty',8,'2026-11-21 21:04:59.203415','DUPLICATE','equals agent 0','',0,'2026-11-21 21:04:59.205989',0.0,0,0,0,0,0.0);
CREATE TABLE meta (
	"key" VARCHAR(200) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('created','2026-11-21T21:04:59.177331+00:00');
INSERT INTO "meta" VALUES('name','version one');
CREATE INDEX ix_calls_expansion ON calls (expansion);
CREATE INDEX ix_calls_evaluation ON calls (evaluation);
COMMIT;
