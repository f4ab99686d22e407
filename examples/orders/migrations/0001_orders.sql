CREATE TABLE orders (
    -- Version 7, so that the newest is the greatest: what pages are ordered by.
    id          uuid        PRIMARY KEY,
    status      text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'confirmed', 'rejected')),
    customer    text        NOT NULL,
    items       jsonb       NOT NULL,
    total_cents bigint      NOT NULL CHECK (total_cents > 0),
    -- What an ETag has.
    version     bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    -- What the worker goes by: when to try next, how often it has tried, and the ids of the request that it
    -- works for.
    due_at      timestamptz NOT NULL DEFAULT now(),
    attempts    integer     NOT NULL DEFAULT 0,
    on_behalf   jsonb       NOT NULL DEFAULT '{}'
);

CREATE INDEX orders_due ON orders (due_at) WHERE status = 'pending';

CREATE TABLE idempotency_keys (
    key         text        PRIMARY KEY,
    -- SHA-256 of the body.
    fingerprint bytea       NOT NULL,
    -- As it was sent; NULL only within the transaction that makes it.
    answer      text,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
