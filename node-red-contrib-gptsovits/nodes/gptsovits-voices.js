"use strict";

const { SpeechError } = require("../lib/speech-error");

const PATIENCE = 10000; // milliseconds

module.exports = function (RED) {
    /** Lists the voices of a server at each message. */
    function VoicesNode(config) {
        RED.nodes.createNode(this, config);
        const node = this;

        node.on("input", async (msg, send, done) => {
            try {
                const server = RED.nodes.getNode(config.server);
                if (!server) {
                    throw new SpeechError("no_server", "no server is chosen");
                }
                const answer = await server.voices(AbortSignal.timeout(PATIENCE));
                const count = answer.voices.length;
                node.status({ fill: "green", shape: "dot", text: RED._("gptsovits-voices.status.listed", { count }) });
                send({ ...msg, payload: answer.voices, default: answer.default, languages: answer.languages });
                done();
            } catch (error) {
                const code = error.name === "TimeoutError" ? "timeout" : error.code;
                node.status({ fill: "red", shape: "ring", text: RED._("gptsovits-voices.status.failed", { code }) });
                done(error);
            }
        });
        node.on("close", () => node.status({}));
    }
    RED.nodes.registerType("gptsovits-voices", VoicesNode);
};
