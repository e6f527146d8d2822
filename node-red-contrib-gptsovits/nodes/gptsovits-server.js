"use strict";

const { HttpLine } = require("../lib/http-line");
const { MqttLine } = require("../lib/mqtt-line");
const { SpeechError } = require("../lib/speech-error");

const VOICES_PATIENCE = 10000; // milliseconds

module.exports = function (RED) {
    /** Where the service is: an address, or a broker that it listens to, or both. */
    function ServerNode(config) {
        RED.nodes.createNode(this, config);
        const token = this.credentials && this.credentials.token;
        const http = config.url ? new HttpLine(config.url, token) : null;
        const broker = config.transport === "mqtt" ? RED.nodes.getNode(config.broker) : null;
        const mqtt = broker ? new MqttLine(broker, config.topic || "gptsovits", this.id) : null;
        const line = config.transport === "mqtt" ? mqtt : http;

        this.speak = async (request, signal, seconds) => {
            if (!line) {
                const missing = config.transport === "mqtt" ? "no MQTT broker" : "no address";
                throw new SpeechError("no_server", `the server has ${missing}`);
            }
            return line.speak(request, signal, seconds);
        };
        this.waitsForBroker = () => Boolean(mqtt && !mqtt.connected);
        this.voices = async (signal) => {
            if (!http) {
                throw new SpeechError("no_server", "the server has no address: voices are listed by HTTP only");
            }
            return http.voices(signal);
        };

        if (mqtt) {
            mqtt.start();
            this.on("close", (removed, done) => mqtt.stop(done));
        }
    }
    RED.nodes.registerType("gptsovits-server", ServerNode, { credentials: { token: { type: "password" } } });

    // The editor's list of voices; of servers that are deployed.
    RED.httpAdmin.get("/gptsovits-server/:id/voices", RED.auth.needsPermission("flows.read"), async (request, response) => {
        const server = RED.nodes.getNode(request.params.id);
        if (!server || server.type !== "gptsovits-server") {
            response.sendStatus(404);
            return;
        }
        try {
            response.json(await server.voices(AbortSignal.timeout(VOICES_PATIENCE)));
        } catch (error) {
            response.status(502).json({ code: error.code, message: error.message });
        }
    });
};
