/**
 * `transcode`: requests in JSON become calls of a gRPC service. What is gRPC or gRPC-Web already goes on as it is, so
 * one route serves both.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { ControlLink } from '../contract/policy.ts';
import type { TranscodeApi, TranscodeSettings } from '../contract/transcode.ts';
import type { RouteAction } from '../exchange/active-config.ts';
import { isGrpcType, isGrpcWebType } from '../exchange/grpc.ts';
import { TranscodedCall } from '../exchange/transcoded-call.ts';
import { Transcoder } from '../transcode/transcoder.ts';
import type { ServiceAction } from './service.ts';

/** Throws a `TypeError` when the API is not one that control has checked. */
export function transcodeAction(settings: TranscodeSettings, action: ServiceAction, control: ControlLink): RouteAction {
  const { api, reflection, maxMessageBytes } = settings;
  let transcoder = api === null ? null : new Transcoder(api, settings);
  const unsubscribe =
    reflection === null
      ? null
      : control.subscribe(reflection.topic, (published) => {
          transcoder = new Transcoder(published as TranscodeApi, settings);
        });
  return {
    open(exchange, handler) {
      const contentType = exchange.header('content-type');
      if (isGrpcType(contentType) || isGrpcWebType(contentType)) return action.open(exchange, handler);
      if (transcoder === null)
        return new Fault(FAULTS.noInstance, {
          detail: 'what the service offers is not known yet',
          retryAfterSeconds: 1,
        });
      const fault = action.setPath(exchange);
      if (fault !== null) return fault;
      const bound = transcoder.find(exchange.method, exchange.upstreamPath);
      if (bound === null) return new Fault(FAULTS.routeNotFound, { detail: 'no method of the service has this path' });
      if ('allow' in bound)
        return new Fault(FAULTS.methodNotAllowed, {
          detail: `allowed: ${bound.allow}`,
          headers: { Allow: bound.allow },
        });
      const service = action.choose(exchange);
      return new TranscodedCall(exchange, { transcoder, bound, service, maxMessageBytes }, handler);
    },
    dispose: () => unsubscribe?.(),
  };
}
