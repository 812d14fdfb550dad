// Sends with node's web-push, as its README does: a promise for each message, over one agent that keeps connections.
// The conversation is that of src/senders.rs.
'use strict';

const fs = require('fs');
const https = require('https');
const path = require('path');
const readline = require('readline');
const webPush = require('web-push');

const IN_FLIGHT = 64;

const [directory] = process.argv.slice(2);
const read = name => JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8'));
const subscriptions = read('subscriptions.json');
const key = read('vapid.json');
webPush.setVapidDetails('mailto:push@example.com', key.publicKey, key.privateKey);
const agent = new https.Agent({ keepAlive: true, maxSockets: IN_FLIGHT });

const payload = size => 'abcdefghijklmnopqrstuvwxyz'.repeat(Math.ceil(size / 26)).slice(0, size);

async function push(size, times) {
  const text = payload(size);
  for (let from = 0; from < times; from += IN_FLIGHT) {
    const batch = subscriptions.slice(from, Math.min(from + IN_FLIGHT, times));
    await Promise.all(batch.map(subscription => webPush.sendNotification(subscription, text, { TTL: 3600, agent })));
  }
  return null;
}

function message(size, times) {
  const text = payload(size);
  let last;
  for (let n = 0; n < times; n += 1) {
    last = webPush.generateRequestDetails(subscriptions[n % subscriptions.length], text, { TTL: 3600 });
  }
  return last.body.toString('base64');
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [what, ...numbers] = line.split(' ');
    let answer = null;
    if (what === 'push') answer = await push(...numbers.map(Number));
    else if (what === 'message') answer = message(...numbers.map(Number));
    else if (what !== 'prepare') throw new Error(`what is ${line}?`);
    fs.writeSync(1, `${JSON.stringify(answer)}\n`);
  }
}

main().catch(error => {
  // Why the push service refused is in its body.
  console.error(error.body || error);
  process.exit(1);
});
