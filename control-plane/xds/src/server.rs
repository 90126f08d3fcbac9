//! The gRPC side: aggregated discovery, both protocols.

use crate::fleet::Fleet;
use crate::session::{Delta, Outcome, Sotw};
use crate::snapshot::Snapshot;
use envoy_types::pb::envoy::config::core::v3::{Node, node};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Responses that may wait for a proxy to read them.
const QUEUE: usize = 64;

/// The service.
#[derive(Clone)]
pub struct Ads {
    fleet: Fleet,
}

/// Routes to be served beside others on one port.
#[must_use]
pub fn routes(fleet: Fleet) -> tonic::service::Routes {
    let service = AggregatedDiscoveryServiceServer::new(Ads { fleet }).max_decoding_message_size(16 << 20);
    tonic::service::Routes::new(service)
}

/// One protocol of the two.
trait Session: Default + Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;
    fn node(request: &Self::Request) -> Option<&Node>;
    fn request(&mut self, request: &Self::Request, snapshot: Option<&Snapshot>) -> Outcome<Self::Response>;
    fn snapshot(&mut self, snapshot: &Snapshot) -> Vec<Self::Response>;
}

impl Session for Sotw {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;
    fn node(request: &DiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }
    fn request(&mut self, request: &DiscoveryRequest, snapshot: Option<&Snapshot>) -> Outcome<DiscoveryResponse> {
        self.on_request(request, snapshot)
    }
    fn snapshot(&mut self, snapshot: &Snapshot) -> Vec<DiscoveryResponse> {
        self.on_snapshot(snapshot)
    }
}

impl Session for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;
    fn node(request: &DeltaDiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }
    fn request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        snapshot: Option<&Snapshot>,
    ) -> Outcome<DeltaDiscoveryResponse> {
        self.on_request(request, snapshot)
    }
    fn snapshot(&mut self, snapshot: &Snapshot) -> Vec<DeltaDiscoveryResponse> {
        self.on_snapshot(snapshot)
    }
}

type Answers<R> = ReceiverStream<Result<R, Status>>;

/// Ends a proxy's connection with the stream, however that ends.
struct Connection {
    fleet: Fleet,
    proxy: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.fleet.disconnected(&self.proxy);
    }
}

impl Ads {
    async fn serve<S: Session>(
        &self,
        mut requests: Streaming<S::Request>,
    ) -> Result<Response<Answers<S::Response>>, Status> {
        let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("no request"))?;
        let node = S::node(&first).ok_or_else(|| Status::invalid_argument("the first request names no node"))?;
        if node.id.is_empty() {
            return Err(Status::invalid_argument("the node has no id: set `node.id` in the bootstrap"));
        }
        let targets = self.fleet.connected(&node.id, &version(node));
        let connection = Connection { fleet: self.fleet.clone(), proxy: node.id.clone() };
        tracing::info!(proxy = node.id, "proxy connected");
        let (answers, stream) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            converse::<S>(&connection, first, requests, targets, &answers).await;
            tracing::info!(proxy = connection.proxy, "proxy disconnected");
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

async fn converse<S: Session>(
    connection: &Connection,
    first: S::Request,
    mut requests: Streaming<S::Request>,
    mut targets: watch::Receiver<Option<Arc<Snapshot>>>,
    answers: &mpsc::Sender<Result<S::Response, Status>>,
) {
    let mut session = S::default();
    let mut next = Some(first);
    loop {
        let target = targets.borrow_and_update().clone();
        let mut responses = Vec::new();
        if let Some(request) = next.take() {
            let outcome = session.request(&request, target.as_deref());
            if let Some(report) = outcome.report {
                connection.fleet.report(&connection.proxy, report);
            }
            responses = outcome.responses;
        }
        // What changed while it spoke of something else.
        responses.extend(target.map(|target| session.snapshot(&target)).unwrap_or_default());
        for response in responses {
            if answers.send(Ok(response)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => next = Some(request),
                Ok(None) | Err(_) => return,
            },
            changed = targets.changed() => if changed.is_err() { return },
            () = answers.closed() => return,
        }
    }
}

fn version(node: &Node) -> String {
    match &node.user_agent_version_type {
        Some(node::UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(node::UserAgentVersionType::UserAgentBuildVersion(build)) => {
            let version = build.version.unwrap_or_default();
            format!("{}.{}.{}", version.major_number, version.minor_number, version.patch)
        }
        None => String::new(),
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.serve::<Sotw>(request.into_inner()).await
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.serve::<Delta>(request.into_inner()).await
    }
}
