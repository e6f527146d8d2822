"use strict";

const { readRequest } = require("../lib/request");
const { SpeechError } = require("../lib/speech-error");

const PATIENCE = 60; // seconds

module.exports = function (RED) {
    /** Speaks `msg.payload`; each message leaves once, by output 1 said or by output 2 failed. */
    function SpeakNode(config) {
        RED.nodes.createNode(this, config);
        const node = this;
        const patience = Number(config.timeout) > 0 ? Number(config.timeout) : PATIENCE;
        const speaking = new Set(); // an AbortController for each message that has not left yet

        node.on("input", async (msg, send, done) => {
            const controller = new AbortController();
            const late = new SpeechError("timeout", `not said within ${patience} s`);
            const timer = setTimeout(() => controller.abort(late), patience * 1000);
            speaking.add(controller);
            try {
                const request = readRequest(msg, config);
                const server = RED.nodes.getNode(config.server);
                if (!server) {
                    throw new SpeechError("no_server", "no server is chosen");
                }
                node.status(busy(server));
                const speech = await server.speak(request, controller.signal, patience);
                leave(controller, timer);
                node.status(said(speech));
                send([{ ...msg, payload: speech.url, speech }, null]);
                done();
            } catch (error) {
                leave(controller, timer);
                fail(msg, error, send, done);
            }
        });

        node.on("close", (removed, done) => {
            const stopped = new SpeechError("stopped", "the flow was stopped or deployed anew");
            speaking.forEach((controller) => controller.abort(stopped));
            node.status({});
            // What was aborted leaves by output 2 before this node is gone.
            setImmediate(done);
        });

        function leave(controller, timer) {
            clearTimeout(timer);
            speaking.delete(controller);
        }

        function fail(msg, error, send, done) {
            const known = error instanceof SpeechError;
            const details = known ? error.toMessage() : { code: "internal_error", message: String(error) };
            node.status({ fill: "red", shape: "ring", text: RED._("gptsovits-speak.status.failed", { code: details.code }) });
            send([null, { ...msg, error: details }]);
            // Where nobody listens to output 2, a Catch node and the log must hear of it.
            const heard = (config.wires || [])[1];
            done(heard && heard.length ? undefined : error);
        }

        function busy(server) {
            if (server.waitsForBroker()) {
                return { fill: "yellow", shape: "ring", text: RED._("gptsovits-speak.status.waiting") };
            }
            return { fill: "blue", shape: "dot", text: RED._("gptsovits-speak.status.speaking", { count: speaking.size }) };
        }

        function said(speech) {
            if (speaking.size) {
                return { fill: "blue", shape: "dot", text: RED._("gptsovits-speak.status.speaking", { count: speaking.size }) };
            }
            const seconds = Number(speech.seconds).toFixed(1);
            return { fill: "green", shape: "dot", text: RED._("gptsovits-speak.status.said", { rung: speech.rung, seconds }) };
        }
    }
    RED.nodes.registerType("gptsovits-speak", SpeakNode);
};
