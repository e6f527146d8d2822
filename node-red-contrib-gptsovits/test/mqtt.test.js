"use strict";

const assert = require("node:assert/strict");
const { afterEach, beforeEach, describe, it } = require("node:test");
const core = require("@node-red/nodes/core/network/10-mqtt.js");
const { FakeBridge, Mosquitto, freePort } = require("./fake-bridge");
const { Flow } = require("./flow");

const SILENCE = () => [];
let broker, bridge, flow;

async function startFlow(options, brokerFields) {
    const more = [
        {
            id: "broker", type: "mqtt-broker", broker: "127.0.0.1", port: String(broker.port), clientid: "", keepalive: "15",
            protocolVersion: "5", cleansession: true, autoConnect: true, ...brokerFields,
        },
    ];
    flow = await Flow.start({ transport: "mqtt", broker: "broker", topic: "gptsovits" }, { more, modules: [core], ...options });
    flow.node("broker").options.reconnectPeriod = 50;
}

async function startBroker(extra) {
    broker = new Mosquitto(await freePort(), extra);
    await broker.start();
    bridge = await FakeBridge.start(broker.port);
}

beforeEach(() => {
    flow = bridge = broker = null;
});

afterEach(async () => {
    await flow.stop();
    await bridge.stop();
    await broker.remove();
});

describe("speak by MQTT", () => {
    for (const protocolVersion of ["4", "5"]) {
        it(`says and fails, with protocol version ${protocolVersion}`, async () => {
            await startBroker();
            await startFlow({ node: { timeout: "20" } }, { protocolVersion });
            flow.say({ payload: "dinner", room: "kitchen", priority: "alert", players: "media_player.a, media_player.b", volume: "0.5", chime: "ding" });
            const [msg] = await flow.at("said");
            assert.equal(msg.payload, "http://box/dinner");
            assert.equal(msg.room, "kitchen");
            const { expires, id, ...request } = bridge.requests[0];
            assert.deepEqual(request, { text: "dinner", priority: "alert", players: ["media_player.a", "media_player.b"], volume: 0.5, chime: "ding" });
            assert.equal(msg.speech.id, id);
            assert.ok(expires > 15 && expires <= 20);
            bridge.reply = ({ id }) => ["failed", { id, code: "voice_not_found", message: "no dad", param: "voice" }];
            flow.say({ payload: "supper", voice: "dad" });
            const [failed] = await flow.at("failed");
            assert.deepEqual(failed.error, { code: "voice_not_found", message: "no dad", param: "voice" });
        });
    }

    it("answers each of many to the message that asked", async () => {
        await startBroker();
        await startFlow();
        const words = Array.from({ length: 200 }, (_, number) => `w${number}`);
        words.forEach((word) => flow.say({ payload: word, word }));
        const said = await flow.at("said", words.length);
        assert.ok(said.every((msg) => msg.payload === `http://box/${msg.word}`));
        assert.equal(new Set(said.map((msg) => msg.word)).size, words.length);
    });

    it("says one id once and lets every message out", async () => {
        await startBroker();
        await startFlow();
        flow.say({ payload: "bell", id: "door" });
        flow.say({ payload: "bell", id: "door" });
        const said = await flow.at("said", 2);
        assert.deepEqual(said.map((msg) => msg.speech.id), ["door", "door"]);
        assert.equal(bridge.requests.length, 1);
    });

    it("asks again when the broker was killed and the answer with it", async () => {
        await startBroker();
        await startFlow();
        bridge.reply = SILENCE;
        flow.say({ payload: "dinner" });
        const [first] = await bridge.at("requests");
        await broker.stop();
        // Said while nobody could hear it.
        bridge.spoken.set(first.id, ["said", { id: first.id, url: "http://box/x", seconds: 1, rung: "plain" }]);
        await broker.start();
        const [msg] = await flow.at("said");
        assert.equal(msg.payload, "http://box/x");
        assert.ok(bridge.requests.every((request) => request.id === first.id));
        assert.equal(flow.messages.said.length, 1);
    });

    it("keeps what comes before the broker is there", async () => {
        await startBroker();
        await broker.stop();
        await startFlow();
        flow.say({ payload: "early" });
        await broker.start();
        const [msg] = await flow.at("said");
        assert.equal(msg.payload, "http://box/early");
    });

    it("takes back what is not said in time", async () => {
        await startBroker();
        await startFlow({ node: { timeout: "0.5" } });
        bridge.reply = SILENCE;
        flow.say({ payload: "dinner" });
        const [msg] = await flow.at("failed");
        assert.equal(msg.error.code, "timeout");
        const [cancelled] = await bridge.at("cancelled");
        assert.deepEqual(cancelled, { id: bridge.requests[0].id });
    });

    it("tells a broker that cannot be reached from a service that is slow", async () => {
        await startBroker();
        await broker.stop();
        await startFlow({ node: { timeout: "0.2" } });
        flow.say({ payload: "dinner" });
        const [msg] = await flow.at("failed");
        assert.equal(msg.error.code, "not_connected");
        await broker.start();
    });

    it("does not send what would cost the connection", async () => {
        await startBroker("max_packet_size 2000");
        await startFlow();
        flow.say({ payload: "short" });
        await flow.at("said");
        flow.say({ payload: "long ".repeat(1000) });
        const [msg] = await flow.at("failed");
        assert.equal(msg.error.code, "body_too_large");
        assert.equal(flow.node("broker").connected, true);
    });

    it("does not stumble over what others publish", async () => {
        await startBroker();
        await startFlow();
        bridge.reply = SILENCE;
        flow.say({ payload: "dinner" });
        const [{ id }] = await bridge.at("requests");
        for (const noise of ["{", "null", "7", '{"id":"stranger"}']) {
            bridge.client.publish("gptsovits/said", noise, { qos: 1 });
        }
        bridge.tell("said", { id, url: "http://box/dinner", seconds: 1, rung: "plain" });
        const [msg] = await flow.at("said");
        assert.equal(msg.speech.id, id);
    });
});
