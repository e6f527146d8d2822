"use strict";

const helper = require("node-red-node-test-helper");
const { Arrivals } = require("./eventually");
const server = require("../nodes/gptsovits-server.js");
const speak = require("../nodes/gptsovits-speak.js");
const voices = require("../nodes/gptsovits-voices.js");

helper.init(require.resolve("node-red"), { logging: { console: { level: "off" } } });

/** A flow under test: `say` with its two outputs wired to nodes that collect. */
class Flow {
    /**
     * @param {object} serverNode fields of the `gptsovits-server`
     * @param {{node?: object, credentials?: object, more?: object[], modules?: Function[]}} [options]
     */
    static async start(serverNode, { node = {}, credentials = {}, more = [], modules = [] } = {}) {
        const flow = new Flow();
        await new Promise((resolve) => helper.startServer(resolve));
        const nodes = [
            { id: "tab", type: "tab", label: "test" },
            ...more,
            { id: "server", type: "gptsovits-server", ...serverNode },
            { id: "say", z: "tab", type: "gptsovits-speak", server: "server", wires: [["said"], ["failed"]], ...node },
            { id: "said", z: "tab", type: "helper" },
            { id: "failed", z: "tab", type: "helper" },
        ];
        await helper.load([...modules, server, speak, voices], nodes, credentials);
        flow.collect("said");
        flow.collect("failed");
        return flow;
    }

    constructor() {
        this.messages = { said: [], failed: [] };
        this.arrivals = new Arrivals();
    }

    collect(id) {
        helper.getNode(id).on("input", (msg) => {
            this.messages[id].push(msg);
            this.arrivals.came();
        });
    }

    node(id) {
        return helper.getNode(id);
    }

    /** Send a message into `say`. */
    say(msg) {
        helper.getNode("say").receive(msg);
    }

    /** The messages at an output once there are `count`. */
    at(output, count = 1) {
        return this.arrivals.in(this.messages[output], count);
    }

    async stop() {
        await helper.unload();
        await new Promise((resolve) => helper.stopServer(resolve));
    }
}

module.exports = { Flow, helper };
