"use strict";

const assert = require("node:assert/strict");
const { readdirSync, readFileSync } = require("node:fs");
const { join } = require("node:path");
const { describe, it } = require("node:test");

const ROOT = join(__dirname, "..");
const PACKAGE = JSON.parse(read("package.json"));
const NODES = Object.keys(PACKAGE["node-red"].nodes);
const LOCALES = readdirSync(join(ROOT, "nodes", "locales"));

function read(...path) {
    return readFileSync(join(ROOT, ...path), "utf8");
}

/** All texts of a catalogue: `{"a.b": "text"}`. */
function texts(locale, node) {
    const flat = (value, path) =>
        typeof value === "string" ? [[path.join("."), value]] : Object.entries(value).flatMap(([key, each]) => flat(each, [...path, key]));
    return Object.fromEntries(flat(JSON.parse(read("nodes", "locales", locale, `${node}.json`)), []));
}

describe("the package", () => {
    it("needs nothing but Node-RED", () => {
        assert.equal(PACKAGE.dependencies, undefined);
    });

    for (const node of NODES) {
        it(`has every text of ${node} in every language`, () => {
            const page = read("nodes", `${node}.html`) + read(PACKAGE["node-red"].nodes[node]);
            const used = [...page.matchAll(new RegExp(`${node}\\.[a-z]+(\\.[a-z]+)?(?=["\\]])`, "g"))].map(([key]) => key);
            for (const locale of LOCALES) {
                const known = texts(locale, node);
                assert.deepEqual(used.filter((key) => !(key in known) && !key.endsWith(".svg")), []);
                assert.deepEqual(Object.keys(known), Object.keys(texts("en-US", node)));
            }
        });

        it(`fills the same gaps in every language of ${node}`, () => {
            const gaps = (text) => (text.match(/__\w+__/g) || []).sort();
            for (const locale of LOCALES) {
                const known = texts(locale, node);
                for (const [key, text] of Object.entries(texts("en-US", node))) {
                    assert.deepEqual(gaps(known[key]), gaps(text), key);
                }
            }
        });

        it(`explains ${node} in every language`, () => {
            for (const locale of LOCALES) {
                assert.match(read("nodes", "locales", locale, `${node}.html`), new RegExp(`data-help-name="${node}"`));
            }
        });
    }
});
