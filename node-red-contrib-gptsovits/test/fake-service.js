"use strict";

const http = require("node:http");

const CLIP = { id: "7", url: "http://box:9880/clips/a.mp3", path: "/clips/a.mp3", seconds: 2.41, rung: "plain", voice: "amy" };

/** An HTTP service that answers what a test tells it to, and remembers what it was asked. */
class FakeService {
    static async start() {
        const service = new FakeService();
        service.server = http.createServer((request, response) => service.answer(request, response));
        await new Promise((resolve) => service.server.listen(0, "127.0.0.1", resolve));
        service.url = `http://127.0.0.1:${service.server.address().port}`;
        return service;
    }

    constructor() {
        this.asked = [];
        this.left = new Promise((resolve) => (this.clientLeft = resolve));
        this.reply = () => [200, CLIP];
    }

    async answer(request, response) {
        let body = "";
        for await (const part of request) {
            body += part;
        }
        const { method, url, headers } = request;
        this.asked.push({ method, url, authorization: headers.authorization, body: body && JSON.parse(body) });
        response.on("close", () => this.clientLeft(!response.writableFinished));
        const [status, answer, more] = (await this.reply(body && JSON.parse(body))) || [];
        response.writeHead(status, { "Content-Type": "application/json", ...more });
        response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((resolve) => this.server.close(resolve));
    }
}

module.exports = { FakeService, CLIP };
