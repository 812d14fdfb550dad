// Sends as the job on standard input says, with node's web-push.
'use strict';

const webPush = require('web-push');

async function main() {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  const job = JSON.parse(text);
  const vapidDetails = { subject: job.contact, ...job.vapid };
  for (const { payload, coding } of job.messages) {
    await webPush.sendNotification(job.subscription, payload && Buffer.from(payload, 'base64url'), {
      TTL: 60,
      contentEncoding: coding,
      topic: 'abcd',
      urgency: 'high',
      vapidDetails,
    });
  }
}

main().catch(error => {
  // Why the push service refused is in its body.
  console.error(error.body || error);
  process.exitCode = 1;
});
