"use strict";

const assert = require("node:assert/strict");
const { afterEach, beforeEach, describe, it } = require("node:test");
const { FakeService, CLIP } = require("./fake-service");
const { Flow, helper } = require("./flow");

const never = () => new Promise(() => {});
let service, flow;

async function start(options) {
    flow = await Flow.start({ transport: "http", url: `${service.url}/` }, { credentials: { server: { token: "s3cret" } }, ...options });
}

beforeEach(async () => {
    service = await FakeService.start();
});

afterEach(async () => {
    await flow.stop();
    await service.stop();
});

describe("speak by HTTP", () => {
    it("passes the clip on and keeps the rest of the message", async () => {
        await start();
        flow.say({ payload: "Dinner is ready.", room: "kitchen" });
        const [msg] = await flow.at("said");
        assert.equal(msg.payload, CLIP.url);
        assert.deepEqual(msg.speech, CLIP);
        assert.equal(msg.room, "kitchen");
        const [asked] = service.asked;
        assert.deepEqual(asked, {
            method: "POST",
            url: "/v1/clips",
            authorization: "Bearer s3cret",
            body: { input: "Dinner is ready." },
        });
    });

    it("lets a message go before the node's own settings", async () => {
        const node = { voice: "mum", language: "en", speed: "1.5", normalize: "exact", priority: "normal", expires: "", format: "wav" };
        await start({ node });
        flow.say({ payload: 7, voice: "dad", priority: "alert", expires: "30", id: "bell" });
        const [msg] = await flow.at("said");
        assert.equal(msg.speech.id, "bell");
        assert.deepEqual(service.asked[0].body, {
            input: "7", voice: "dad", language: "en", speed: 1.5, normalize: "exact", priority: "alert", expires: 30,
            response_format: "wav",
        });
    });

    it("lets the message say how numbers are read, and leaves it to the service when nobody says", async () => {
        await start({ node: { normalize: "" } });
        flow.say({ payload: "21.5 °C", normalize: "speakable" });
        flow.say({ payload: "21.5 °C" });
        await flow.at("said", 2);
        const bodies = service.asked.map(({ body }) => body);
        assert.deepEqual(bodies.sort((a, b) => Object.keys(a).length - Object.keys(b).length), [
            { input: "21.5 °C" },
            { input: "21.5 °C", normalize: "speakable" },
        ]);
    });

    it("says why it was refused", async () => {
        await start();
        service.reply = () => [503, { error: { code: "queue_full", message: "32 wait", param: null } }, { "Retry-After": "4" }];
        flow.say({ payload: "Hello" });
        const [msg] = await flow.at("failed");
        assert.deepEqual(msg.error, { code: "queue_full", message: "32 wait", status: 503, retryAfter: 4 });
        assert.equal(msg.payload, "Hello");
    });

    for (const [name, answer] of [["a proxy's page", [502, "<html>"]], ["a page that is no JSON", [200, "<html>"]]]) {
        it(`takes ${name} for no service`, async () => {
            await start();
            service.reply = () => answer;
            flow.say({ payload: "Hello" });
            const [msg] = await flow.at("failed");
            assert.equal(msg.error.code, "unreachable");
        });
    }

    it("says that nobody is there", async () => {
        await start();
        await service.stop();
        flow.say({ payload: "Hello" });
        const [msg] = await flow.at("failed");
        assert.equal(msg.error.code, "unreachable");
        assert.match(msg.error.message, /ECONNREFUSED/);
        service = await FakeService.start();
    });

    it("gives up in time and hangs up", async () => {
        await start({ node: { timeout: "0.1" } });
        service.reply = never;
        flow.say({ payload: "Hello" });
        const [msg] = await flow.at("failed");
        assert.equal(msg.error.code, "timeout");
        assert.equal(await service.left, true);
    });

    for (const [field, msg] of [
        ["payload", { payload: { text: "x" } }],
        ["payload", {}],
        ["speed", { payload: "x", speed: "fast" }],
        ["players", { payload: "x", players: "media_player.kitchen" }],
        ["volume", { payload: "x", volume: 0.5 }],
        ["pause", { payload: "x", pause: "long" }],
    ]) {
        it(`refuses a wrong ${field}: ${JSON.stringify(msg)}`, async () => {
            await start();
            flow.say(msg);
            const [failed] = await flow.at("failed");
            assert.equal(failed.error.code, "bad_request");
            assert.equal(failed.error.param, field);
            assert.deepEqual(service.asked, []);
        });
    }

    it("loses none of many, and lets each out once", async () => {
        await start();
        service.reply = (body) =>
            Number(body.input) % 3 ? [200, { ...CLIP, id: body.input }] : [429, { error: { code: "too_many_requests", message: "" } }];
        const numbers = Array.from({ length: 60 }, (_, number) => number);
        numbers.forEach((number) => flow.say({ payload: String(number), number }));
        const said = await flow.at("said", 40);
        const failed = await flow.at("failed", 20);
        const out = [...said, ...failed].map((msg) => msg.number);
        assert.deepEqual(out.sort((a, b) => a - b), numbers);
        assert.ok(said.every((msg) => msg.speech.id === String(msg.number)));
    });

    it("lets what is being said out as stopped when the flow is deployed anew", async () => {
        await start();
        service.reply = never;
        flow.say({ payload: "Hello" });
        await new Promise((resolve) => flow.node("say").once("call:status", resolve));
        await flow.node("say").close();
        const [msg] = await flow.at("failed");
        assert.equal(msg.error.code, "stopped");
    });

    it("tells Catch nodes of a failure that nobody listens for", async () => {
        await start({ node: { wires: [["said"], []] } });
        service.reply = () => [400, { error: { code: "bad_text", message: "nothing to say" } }];
        const error = new Promise((resolve) => flow.node("say").once("call:error", resolve));
        flow.say({ payload: "..." });
        assert.equal((await error).firstArg.code, "bad_text");
    });

    it("shows what it does", async () => {
        await start();
        const shown = [];
        flow.node("say").on("call:status", (call) => shown.push([call.firstArg.fill, call.firstArg.text]));
        flow.say({ payload: "Hello" });
        await flow.at("said");
        service.reply = () => [404, { error: { code: "voice_not_found", message: "" } }];
        flow.say({ payload: "Hello" });
        await flow.at("failed");
        assert.deepEqual(shown, [
            ["blue", "gptsovits-speak.status.speaking"],
            ["green", "gptsovits-speak.status.said"],
            ["blue", "gptsovits-speak.status.speaking"],
            ["red", "gptsovits-speak.status.failed"],
        ]);
    });
});

describe("voices", () => {
    const list = { voices: [{ id: "amy", name: "Amy" }], default: "amy", languages: ["en"] };

    async function startVoices() {
        const more = [{ id: "list", z: "tab", type: "gptsovits-voices", server: "server", wires: [["said"]] }];
        await start({ more });
        service.reply = () => [200, list];
    }

    it("are listed", async () => {
        await startVoices();
        flow.node("list").receive({ topic: "kept" });
        const [msg] = await flow.at("said");
        assert.deepEqual([msg.payload, msg.default, msg.languages, msg.topic], [list.voices, "amy", ["en"], "kept"]);
        assert.equal(service.asked[0].authorization, "Bearer s3cret");
    });

    it("fail to Catch nodes", async () => {
        await startVoices();
        service.reply = () => [401, { error: { code: "unauthorized", message: "token" } }];
        const error = new Promise((resolve) => flow.node("list").once("call:error", resolve));
        flow.node("list").receive({});
        assert.equal((await error).firstArg.code, "unauthorized");
    });

    it("are offered to the editor", async () => {
        await startVoices();
        const answer = await helper.request().get("/gptsovits-server/server/voices");
        assert.deepEqual(answer.body, list);
        assert.equal((await helper.request().get("/gptsovits-server/tab/voices")).status, 404);
    });
});
