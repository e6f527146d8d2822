"use strict";

const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const net = require("node:net");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const mqtt = require("mqtt"); // comes with Node-RED
const { Arrivals } = require("./eventually");

/** A real Mosquitto on a port of its own that forgets everything when it is stopped. */
class Mosquitto {
    constructor(port, extra = "") {
        this.port = port;
        this.folder = mkdtempSync(join(tmpdir(), "gptsovits-"));
        this.settings = join(this.folder, "mosquitto.settings");
        writeFileSync(this.settings, `listener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n${extra}\n`);
    }

    async start() {
        const path = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`;
        this.child = spawn("mosquitto", ["-c", this.settings], { stdio: "ignore", env: { ...process.env, PATH: path } });
        const missing = new Promise((_, reject) => {
            this.child.on("error", (error) => reject(new Error(`please install mosquitto: ${error.message}`)));
        });
        await Promise.race([missing, listening(this.port)]);
    }

    async stop() {
        const ended = new Promise((resolve) => this.child.once("exit", resolve));
        this.child.kill("SIGKILL");
        await ended;
    }

    async remove() {
        await this.stop();
        rmSync(this.folder, { recursive: true });
    }
}

async function listening(port) {
    const open = () =>
        new Promise((resolve) => {
            const socket = net.connect(port, "127.0.0.1");
            socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
            socket.on("connect", () => socket.destroy());
        });
    while (!(await open())) {
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

function freePort() {
    return new Promise((resolve) => {
        const probe = net.createServer().listen(0, "127.0.0.1", () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

/** Answers as the service's MQTT door does: each id is said once, and answered each time. */
class FakeBridge {
    static async start(port, version = 5) {
        const bridge = new FakeBridge();
        bridge.client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: version, reconnectPeriod: 50 });
        bridge.client.on("message", (topic, payload) => bridge.heard(topic, JSON.parse(payload)));
        await new Promise((resolve) => bridge.client.once("connect", resolve));
        await bridge.client.subscribeAsync(["gptsovits/say", "gptsovits/cancel"], { qos: 1 });
        return bridge;
    }

    constructor() {
        this.requests = [];
        this.cancelled = [];
        this.spoken = new Map();
        this.reply = (request) => ["said", { id: request.id, url: `http://box/${request.text}`, seconds: 1, rung: "plain" }];
        this.arrivals = new Arrivals();
    }

    heard(topic, message) {
        (topic === "gptsovits/say" ? this.requests : this.cancelled).push(message);
        if (topic === "gptsovits/say") {
            this.spoken.set(message.id, this.spoken.get(message.id) || this.reply(message));
            this.tell(...this.spoken.get(message.id));
        }
        this.arrivals.came();
    }

    tell(outcome, answer) {
        if (outcome) {
            this.client.publish(`gptsovits/${outcome}`, JSON.stringify(answer), { qos: 1 });
        }
    }

    /** Wait until `list` ("requests" or "cancelled") holds `count`. */
    at(list, count = 1) {
        return this.arrivals.in(this[list], count);
    }

    stop() {
        return this.client.endAsync(true);
    }
}

module.exports = { FakeBridge, Mosquitto, freePort };
